//! Clients, upstreams and ends of tunnels in either version of HTTP, with one interface for both.

mod client;
mod end;
mod upstream;

pub use client::{Client, ClientResponse};
pub use end::{End, Receiving, Sending, StreamEnd};
pub use upstream::{PendingHandshake, Upstream};

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http1,
    Http2,
}

impl Version {
    /// All pairs of a client's and an upstream's version.
    pub const PAIRS: [(Self, Self); 4] = [
        (Self::Http1, Self::Http1),
        (Self::Http1, Self::Http2),
        (Self::Http2, Self::Http1),
        (Self::Http2, Self::Http2),
    ];
}
