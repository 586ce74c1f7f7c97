//! [`Endpoint`]: one server of a pool.

use std::{fmt, str::FromStr, sync::Arc};

use crate::upstream::{InvalidUpstream, Upstream};

/// A server of a [`Pool`](crate::Pool): an [`Upstream`] with an id and a weight.
///
/// ```
/// use tower_upgrade_proxy::Endpoint;
///
/// let endpoint = "http://10.0.0.1:9000".parse::<Endpoint>()?.id("chat-0").weight(2);
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub(super) id: Arc<str>,
    pub(super) upstream: Upstream,
    pub(super) weight: u16,
}

impl Endpoint {
    /// Creates an endpoint with weight 1, whose id is the text of the upstream.
    #[must_use]
    pub fn new(upstream: Upstream) -> Self {
        Self { id: upstream.to_string().into(), upstream, weight: 1 }
    }

    /// Sets the id, by which the pool recognises the endpoint when its set changes: counts belong to the id. Two endpoints
    /// with one id are one, and the last of them counts. Default: the text of the upstream.
    #[must_use]
    pub fn id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the share of tunnels and requests in relation to the other endpoints. Default 1; with 0 the endpoint gets no new ones.
    #[must_use]
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }
}

impl From<Upstream> for Endpoint {
    fn from(upstream: Upstream) -> Self {
        Self::new(upstream)
    }
}

impl FromStr for Endpoint {
    type Err = InvalidUpstream;

    /// Parses the text of an [`Upstream`].
    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        text.parse().map(Self::new)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, upstream, weight } = self;
        f.debug_struct("Endpoint")
            .field("id", id)
            .field("upstream", upstream)
            .field("weight", weight)
            .finish()
    }
}
