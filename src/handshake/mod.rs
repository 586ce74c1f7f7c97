//! The handshake: what the client asked, what the upstream is asked, what it answered.
//!
//! A request is looked at once, in [`detect`]. What comes out is a [`Handshake`], and the rest of
//! the crate no longer asks which HTTP version or which header lines it came from. [`encode`]
//! writes it for the upstream, [`verify`] checks the answer against it.

pub(crate) mod detect;
pub(crate) mod encode;
mod protocols;
pub(crate) mod verify;

use http::HeaderValue;
use hyper::upgrade::OnUpgrade;

pub use protocols::{InvalidProtocol, Protocol, Protocols};

/// A request that is to become a tunnel.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// The one token of `Upgrade` that is sent on.
    pub(crate) protocol: HeaderValue,
    /// Resolves to the client's side of the tunnel, after our 101 was written.
    pub(crate) on_upgrade: OnUpgrade,
    /// Whether the request's body is part of the handshake and goes first.
    pub(crate) body: bool,
}

/// Whether an upgrade token is WebSocket's
/// ([RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
pub(crate) fn is_websocket(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(b"websocket")
}
