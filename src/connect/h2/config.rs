//! [`Http2`]: its settings.

use std::time::Duration;

/// How upstreams that speak HTTP/2 are spoken to.
///
/// Connections are shared by the tunnels and requests of one runtime that go to one upstream. The
/// next one is opened when all are full, that is, when they have as many streams as the upstream
/// allows (`SETTINGS_MAX_CONCURRENT_STREAMS`). One that the upstream takes leave of (GOAWAY) gets
/// no more streams and ends with its last one.
///
/// ```
/// use std::time::Duration;
/// use tower_upgrade_proxy::{Http2, UpgradeProxyLayer};
///
/// let upstream = "http://127.0.0.1:9000".parse::<tower_upgrade_proxy::Upstream>()?.http2();
/// let layer = UpgradeProxyLayer::new(upstream)
///     .http2(Http2::new().max_connections(8).keep_alive_interval(Duration::from_secs(10)));
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Http2 {
    pub(super) max_connections: usize,
    pub(super) keep_alive_interval: Option<Duration>,
    pub(super) keep_alive_timeout: Duration,
    pub(super) stream_window: u32,
    pub(super) max_header_list_size: u32,
}

impl Http2 {
    /// At most 100 connections, a ping every 30 s with 10 s to answer, windows of 128 KiB, heads of 64 KiB.
    pub fn new() -> Self {
        Self {
            max_connections: 100,
            keep_alive_interval: Some(Duration::from_secs(30)),
            keep_alive_timeout: Duration::from_secs(10),
            stream_window: 128 * 1024,
            max_header_list_size: 64 * 1024,
        }
    }

    /// At most this many connections to one upstream; at least one. When all are full, a request
    /// waits for a place as long as it may wait for a connection, then it is answered with 503.
    /// Default 100.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// How often a connection with streams is sent a PING
    /// ([RFC 9113, 6.7](https://www.rfc-editor.org/rfc/rfc9113#section-6.7)). Default 30 s; `None`
    /// switches it off, and a dead upstream is found by the timeouts of its tunnels alone.
    pub fn keep_alive_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keep_alive_interval = interval.into();
        self
    }

    /// How long the answer to a PING may take; then the connection is dead, and its tunnels end.
    /// Default 10 s.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive_timeout = timeout;
        self
    }

    /// How many bytes an upstream may send on one stream beyond what was passed on to the client:
    /// the memory that a client who does not read can cost, and with the round trip's time the most
    /// a stream can carry. Default 128 KiB; at least 1, at most 2³¹-1.
    ///
    /// The connection as a whole has no further window, so that streams which nobody reads can't
    /// take the others' share.
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.stream_window = bytes.clamp(1, LARGEST_WINDOW);
        self
    }

    /// How large the head of an answer may be: names and values uncompressed, and 32 bytes for each field
    /// ([RFC 9113, 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2)). The upstream is told. An
    /// answer with more is a 502. One that needs over a quarter more frames than the limit does, and seven at
    /// least, or that unpacks to four times as much, ends the connection with all its tunnels: it need not
    /// have an end. Default 64 KiB.
    ///
    /// In HTTP/1.1 the limits are hyper's: 100 fields, and a head of 408 KiB.
    pub fn max_header_list_size(mut self, bytes: u32) -> Self {
        self.max_header_list_size = bytes;
        self
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self::new()
    }
}

/// [RFC 9113, 6.9.1](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1).
pub(super) const LARGEST_WINDOW: u32 = (1 << 31) - 1;
