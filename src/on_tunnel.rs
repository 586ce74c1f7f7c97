//! [`OnTunnel`], the hook for the opening and the end of tunnels.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;

use crate::{received::Received, tunnel::TunnelSummary, upstream::Upstream};

/// Hook that is called when a tunnel opens and when it ends.
///
/// Both methods run inside the tunnel's span, on the request's task or the tunnel's, and must not block. Each
/// opened tunnel is closed exactly once, unless its runtime is shut down.
///
/// A closure is a hook for the end:
///
/// ```
/// # use tower_upgrade_proxy::{Side, TunnelInfo, TunnelSummary, UpgradeProxyLayer};
/// # let layer = UpgradeProxyLayer::per_request();
/// let layer = layer.on_tunnel(|tunnel: &TunnelInfo, summary: &TunnelSummary| {
///     println!(
///         "tunnel {} to {}: {} bytes up, {} bytes down in {:?}, {}",
///         tunnel.id(),
///         tunnel.upstream(),
///         summary.bytes(Side::Client),
///         summary.bytes(Side::Upstream),
///         summary.duration(),
///         summary.end(),
///     );
/// });
/// ```
pub trait OnTunnel: Send + Sync + 'static {
    /// Called when the upstream's 101 was verified and is about to be sent to the client. Does nothing by default.
    fn on_open(&self, tunnel: &TunnelInfo) {
        let _ = tunnel;
    }

    /// Called when the tunnel has ended and both connections are closed.
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

/// Identity of a tunnel: id, client, path, label, upstream and protocol. Cloning copies a pointer.
#[derive(Clone)]
pub struct TunnelInfo(Arc<Inner>);

struct Inner {
    id: u64,
    client: Option<IpAddr>,
    path: Box<str>,
    /// `None` if it is the client's path.
    upstream_path: Option<Box<str>>,
    label: Option<TunnelLabel>,
    upstream: Upstream,
    protocol: HeaderValue,
}

impl TunnelInfo {
    /// Creates the identity of a new tunnel.
    pub(crate) fn new(
        request: &Received,
        label: Option<TunnelLabel>,
        upstream: Upstream,
        protocol: HeaderValue,
    ) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        // Copies of the paths, as a URI would keep the request's read buffer until the tunnel ends.
        let path: Box<str> = request.path().into();
        let upstream_path = request.upstream_path().filter(|forwarded| **forwarded != *path).map(Box::from);
        let client = request.client;
        Self(Arc::new(Inner { id, client, path, upstream_path, label, upstream, protocol }))
    }

    /// Number that is unique within the process. Ids increase in the order of opening.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The client's address: that of the [`Peer`](crate::Peer) or of axum's `ConnectInfo`, or the one that
    /// [trusted](crate::Forwarded#the-clients-address) peers forward. An IPv4 address is never written as IPv6.
    /// `None` if the server does not provide the address of its peer.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.0.client
    }

    /// The path of the request as the client sent it, before axum's `nest` removed a prefix
    /// (feature `axum`). Without the query, which may contain secrets.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The path of the request to the upstream, without the query: the same as [`path`](Self::path), unless a
    /// router, a [`PathRewrite`](crate::PathRewrite) or the upstream's base path has changed it.
    #[must_use]
    pub fn upstream_path(&self) -> &str {
        self.0.upstream_path.as_deref().unwrap_or(&self.0.path)
    }

    /// The [`TunnelLabel`] in the request's extensions.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.0.label.as_ref().map(TunnelLabel::as_str)
    }

    /// The upstream of the tunnel.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.0.upstream
    }

    /// The protocol of the tunnel, spelled as in the allow-list: `websocket`.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.0.protocol.to_str().unwrap_or_default()
    }
}

impl fmt::Debug for TunnelInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelInfo")
            .field("id", &self.id())
            .field("client", &self.client())
            .field("path", &self.path())
            .field("upstream_path", &self.upstream_path())
            .field("label", &self.label())
            .field("upstream", self.upstream())
            .field("protocol", &self.protocol())
            .finish()
    }
}

/// Label that an application gives its tunnels: a user, a session, a room. An extension of the request:
///
/// ```
/// # fn authenticated<B>(request: &mut http::Request<B>, user: &str) {
/// use tower_upgrade_proxy::TunnelLabel;
///
/// request.extensions_mut().insert(TunnelLabel::new(user));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TunnelLabel(Arc<str>);

impl TunnelLabel {
    /// A label of any text. Several tunnels may have the same label.
    #[must_use]
    pub fn new(label: impl Into<Arc<str>>) -> Self {
        Self(label.into())
    }

    /// The text of the label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
