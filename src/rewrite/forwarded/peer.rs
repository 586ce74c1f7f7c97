//! [`Peer`]: the client's end of a connection.

use std::net::SocketAddr;

use http::Extensions;

/// The peer of the connection on which a request was received, as an extension of the request.
///
/// Servers other than axum's, servers of another major version of axum than this crate's, and servers that terminate TLS,
/// insert it:
///
/// ```
/// # use tower_upgrade_proxy::Peer;
/// # fn accepted<B>(request: &mut http::Request<B>, address: std::net::SocketAddr) {
/// request.extensions_mut().insert(Peer::new(address).https());
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    address: Option<SocketAddr>,
    https: bool,
}

impl Peer {
    /// A peer at `address`, connected without TLS.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address: Some(address), https: false }
    }

    /// A peer without an IP address, as on a unix socket. Limits per client count all of them as one client, unless they are
    /// [trusted](crate::Forwarded::trust_unix_sockets) and report the client's address.
    #[must_use]
    pub fn unknown() -> Self {
        Self { address: None, https: false }
    }

    /// Marks the connection as encrypted, so that the scheme is `https`.
    #[must_use]
    pub fn https(self) -> Self {
        Self { https: true, ..self }
    }

    /// Returns the peer in the extensions, else that of axum's `ConnectInfo`.
    pub(crate) fn from_extensions(extensions: &Extensions) -> Option<Self> {
        let peer = extensions.get::<Self>().copied();
        #[cfg(feature = "axum")]
        let peer = peer.or_else(|| {
            let info = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>();
            info.map(|info| Self::new(info.0))
        });
        peer
    }

    /// Returns the address; `None` for a peer without one.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        self.address
    }

    pub(super) fn is_https(self) -> bool {
        self.https
    }
}
