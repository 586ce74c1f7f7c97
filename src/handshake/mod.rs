//! The handshake of an upgrade: detection, the request to the upstream, verification of its response, and
//! the response to the client.
//!
//! [`detect`] examines a request once and returns a [`Handshake`], which is independent of the HTTP version
//! and the fields of that request. [`encode`] writes the handshake for the upstream, [`verify`] checks the
//! response against it, and [`accept`] converts the response to the client's HTTP version.
//!
//! # One handshake for two HTTP versions
//!
//! The intermediate form is that of HTTP/1.1. [`detect`] accepts an upgrade or an extended CONNECT, and
//! records its [`Mechanism`]. [`encode`] makes the head of an upgrade from either; an extended CONNECT, which
//! has no key, gets one. The policies and the application's hook see this head. Only after them, and only for
//! an upstream over HTTP/2, does it become an extended CONNECT (`encode::extended_connect` and
//! `rewrite::http2`). The response is verified as a 101 or as a 200, and reduced to the head of a 101 without
//! hop-by-hop fields, from which [`accept`] makes the client's 101 or 200. So there are two decoders, two
//! encoders and two verifiers, and no code for a pair of versions.
//!
//! A 2xx in HTTP/1.1 that accepts no upgrade becomes a 502 for an HTTP/2 client, which would take any 2xx for
//! a tunnel.
//!
//! # Bytes before the response
//!
//! The client's early bytes stay in the server's read buffer until the upstream's response is verified. A
//! second request directly behind a refused handshake is therefore parsed by the server as the next request,
//! and is never sent to the upstream.

pub(crate) mod accept;
pub(crate) mod detect;
pub(crate) mod encode;
mod protocols;
pub(crate) mod verify;

use http::{HeaderValue, Version};
use hyper::upgrade::OnUpgrade;

pub(crate) use protocols::is_websocket;
pub use protocols::{InvalidProtocol, Protocol, Protocols};

/// Upgrade mechanism of a request, which determines the form of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// HTTP/1.1: the `Upgrade` field, accepted with a 101
    /// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)).
    Upgrade,
    /// HTTP/2: CONNECT with `:protocol`, accepted with a 200
    /// ([RFC 8441, 4](https://www.rfc-editor.org/rfc/rfc8441#section-4)).
    ExtendedConnect,
}

impl Mechanism {
    /// Returns the HTTP version of the request.
    pub(crate) fn version(self) -> Version {
        match self {
            Self::Upgrade => Version::HTTP_11,
            Self::ExtendedConnect => Version::HTTP_2,
        }
    }
}

/// A request to be upgraded to a tunnel.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) mechanism: Mechanism,
    /// The protocol requested from the upstream.
    pub(crate) protocol: HeaderValue,
    /// Resolves to the client's side of the tunnel, once the 101 or 200 has been written.
    pub(crate) on_upgrade: OnUpgrade,
    /// The request has a body, which is part of the handshake and is sent before the tunnel opens.
    pub(crate) body: bool,
}
