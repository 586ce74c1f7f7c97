//! [`OnTunnel`]: being told of every tunnel.

use std::fmt;

use http::HeaderValue;

use crate::{TunnelSummary, Upstream};

/// Told when a tunnel opens and when it ends.
///
/// Both methods run on the tunnel's task or on the request's and must not block. Each opened tunnel
/// ends exactly once, unless the runtime is shut down under it.
///
/// A closure is a hook for the end:
///
/// ```
/// # use tower_upgrade_proxy::{TunnelInfo, TunnelSummary, UpgradeProxyLayer};
/// # let layer = UpgradeProxyLayer::per_request();
/// let layer = layer.on_tunnel(|tunnel: &TunnelInfo, summary: &TunnelSummary| {
///     println!(
///         "tunnel {} to {}: {} bytes up, {} bytes down in {:?}, {}",
///         tunnel.id(),
///         tunnel.upstream(),
///         summary.client_to_upstream(),
///         summary.upstream_to_client(),
///         summary.duration(),
///         summary.end(),
///     );
/// });
/// ```
pub trait OnTunnel: Send + Sync + 'static {
    /// The upstream's 101 was verified and is on its way to the client. Does nothing by default.
    fn on_open(&self, tunnel: &TunnelInfo) {
        let _ = tunnel;
    }

    /// The tunnel has ended, and both connections are closed.
    fn on_close(&self, tunnel: &TunnelInfo, summary: &TunnelSummary);
}

impl<F> OnTunnel for F
where
    F: Fn(&TunnelInfo, &TunnelSummary) + Send + Sync + 'static,
{
    fn on_close(&self, tunnel: &TunnelInfo, summary: &TunnelSummary) {
        self(tunnel, summary);
    }
}

/// Which tunnel it is.
#[derive(Clone)]
pub struct TunnelInfo {
    id: u64,
    upstream: Upstream,
    protocol: HeaderValue,
}

impl TunnelInfo {
    pub(crate) fn new(id: u64, upstream: Upstream, protocol: HeaderValue) -> Self {
        Self { id, upstream, protocol }
    }

    /// A number that no other tunnel of this process has.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Where it goes.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The protocol it was upgraded to, as on the allow-list: `websocket`.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.protocol.to_str().unwrap_or_default()
    }
}

impl fmt::Debug for TunnelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelInfo")
            .field("id", &self.id)
            .field("upstream", &self.upstream)
            .field("protocol", &self.protocol)
            .finish()
    }
}
