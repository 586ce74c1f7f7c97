//! [`Http2`]: settings of shared connections.

use std::time::Duration;

/// Settings of HTTP/2 connections to upstreams.
///
/// Connections are shared by the tunnels and requests of one runtime that go to one upstream. Another
/// connection is opened when all are full, that is, have as many streams as the upstream allows
/// (`SETTINGS_MAX_CONCURRENT_STREAMS`). After a GOAWAY a connection gets no new streams and ends with its last
/// one.
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
    /// At most 100 connections, a PING every 30 s to be acknowledged within 10 s, windows of 128 KiB, response
    /// heads of 64 KiB.
    pub fn new() -> Self {
        Self {
            max_connections: 100,
            keep_alive_interval: Some(Duration::from_secs(30)),
            keep_alive_timeout: Duration::from_secs(10),
            stream_window: 128 * 1024,
            max_header_list_size: 64 * 1024,
        }
    }

    /// Limits the connections to one upstream; at least one. When all are full, a request waits for a free
    /// stream until the connect timeout, then it is refused with 503. Default 100.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// Sets the interval of PINGs on a connection with streams
    /// ([RFC 9113, 6.7](https://www.rfc-editor.org/rfc/rfc9113#section-6.7)). Default 30 s; with `None` there
    /// are none, and only the timeouts of its tunnels detect a dead upstream.
    pub fn keep_alive_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keep_alive_interval = interval.into();
        self
    }

    /// Limits the wait for the acknowledgement of a PING. After it, the connection is dead, and its tunnels
    /// end. Default 10 s.
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive_timeout = timeout;
        self
    }

    /// Limits the bytes that an upstream may send on one stream before they are forwarded to the client. This
    /// is the memory that a client can cost by not reading, and with the round-trip time it limits the
    /// throughput of a stream. Default 128 KiB; at least 1, at most 2³¹-1.
    ///
    /// The window of the connection is the largest possible, so that streams that are not read do not block
    /// others.
    pub fn stream_window(mut self, bytes: u32) -> Self {
        self.stream_window = bytes.clamp(1, LARGEST_WINDOW);
        self
    }

    /// Limits the size of a response head: names and values uncompressed, and 32 bytes for each field
    /// ([RFC 9113, 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2)). The limit is sent to the
    /// upstream. A larger response is a 502. A head in over a quarter more frames than the limit needs, and at
    /// least seven, or of four times its size when decompressed, ends the connection with all its tunnels, as
    /// it may be endless. Default 64 KiB.
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

/// The largest flow-control window ([RFC 9113, 6.9.1](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1)).
pub(super) const LARGEST_WINDOW: u32 = (1 << 31) - 1;
