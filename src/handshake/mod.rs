//! The handshake: what the client asked, what the upstream is asked, what it answered.
//!
//! A request is looked at once, in [`detect`]. What comes out is a [`Handshake`], and the rest of
//! the crate no longer asks which HTTP version or which header lines it came from. [`encode`]
//! writes it for the upstream, [`verify`] checks the answer against it, [`accept`] puts that into
//! the client's version of HTTP.

pub(crate) mod accept;
pub(crate) mod detect;
pub(crate) mod encode;
mod protocols;
pub(crate) mod verify;

use http::{HeaderValue, Version};
use hyper::upgrade::OnUpgrade;

pub(crate) use protocols::is_websocket;
pub use protocols::{InvalidProtocol, Protocol, Protocols};

/// How the client asked, and so how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// HTTP/1.1: `Upgrade`, answered with a 101
    /// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)).
    Upgrade,
    /// HTTP/2: CONNECT with `:protocol`, answered with a 200
    /// ([RFC 8441, 4](https://www.rfc-editor.org/rfc/rfc8441#section-4)).
    ExtendedConnect,
}

impl Mechanism {
    /// The version of HTTP that this was asked in.
    pub(crate) fn version(self) -> Version {
        match self {
            Self::Upgrade => Version::HTTP_11,
            Self::ExtendedConnect => Version::HTTP_2,
        }
    }
}

/// A request that is to become a tunnel.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) mechanism: Mechanism,
    /// The one protocol that is asked of the upstream.
    pub(crate) protocol: HeaderValue,
    /// Resolves to the client's side of the tunnel, after our 101 or 200 was written.
    pub(crate) on_upgrade: OnUpgrade,
    /// Whether the request's body is part of the handshake and goes first.
    pub(crate) body: bool,
}
