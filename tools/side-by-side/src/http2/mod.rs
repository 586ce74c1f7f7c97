//! WebSockets over HTTP/2 ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)), in cleartext with prior
//! knowledge.

mod connection;
mod stream;

pub(crate) use connection::Connection;
pub(crate) use stream::Stream;

/// What may be under way to us on a stream.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;

/// What may be under way to us on all streams of a connection: about what Chromium allows. With the
/// protocol's 64 KiB, a proxy would wait for us.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;

/// Which side of the proxy speaks HTTP/2. The other one speaks HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http2 {
    Neither,
    Client,
    Upstream,
}
