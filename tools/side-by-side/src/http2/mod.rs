//! WebSockets over HTTP/2 ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)), in cleartext with prior
//! knowledge.

mod connection;
mod stream;

pub(crate) use connection::Connection;
pub(crate) use stream::Stream;

/// Receive window of a stream.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;

/// Receive window of a connection, similar to Chromium's. With the protocol's default of 64 KiB, the proxy would wait for
/// window updates.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;

/// Side of the proxy with HTTP/2. The other side uses HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http2 {
    Neither,
    Client,
    Upstream,
}
