//! Clients, upstreams and tunnels in either version of HTTP, with one interface for both.

mod client;
mod endpoint;
mod upstream;

pub use client::{Client, Response};
pub use endpoint::{EndOfStream, Endpoint, Receiver, Sender};
pub use upstream::{Handshake, Upstream};

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    Http2,
}

impl HttpVersion {
    /// All pairs of the versions of a client and an upstream.
    pub const PAIRS: [(Self, Self); 4] = [
        (Self::Http1, Self::Http1),
        (Self::Http1, Self::Http2),
        (Self::Http2, Self::Http1),
        (Self::Http2, Self::Http2),
    ];
}
