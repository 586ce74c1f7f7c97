//! [`TunnelConfig`]: timeouts, limits and framing of a tunnel.

use std::time::Duration;

use super::{ClosePolicy, KeepAlive, RateLimit, Side, Sides};

/// Timeouts, limits and framing of a tunnel.
///
/// ```
/// use std::time::Duration;
/// use tower_upgrade_proxy::TunnelConfig;
///
/// let config = TunnelConfig::new()
///     .idle_timeout(Duration::from_secs(300))
///     .half_close_timeout(None)
///     .max_lifetime(Duration::from_secs(86_400))
///     .lifetime_jitter(Duration::from_secs(3_600));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelConfig {
    pub(super) idle: Option<Duration>,
    pub(super) idle_probe: bool,
    pub(super) half_close: Option<Duration>,
    pub(super) lifetime: Option<Duration>,
    pub(super) lifetime_jitter: Duration,
    pub(super) close: Duration,
    pub(super) close_policy: ClosePolicy,
    pub(super) keep_alive: KeepAlive,
    pub(super) rate_limits: Sides<Option<RateLimit>>,
    pub(super) max_frame_size: Option<u64>,
    pub(super) max_message_size: Option<u64>,
    pub(super) framing: Framing,
}

/// Treatment of the frames of a WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// The bytes are relayed like those of any other protocol: the proxy sends no Close, and
    /// [`close_policy`](TunnelConfig::close_policy), [`keep_alive`](TunnelConfig::keep_alive), the limits on
    /// sizes and the message counts have no effect. Spliced bulk in frames of 64 KiB costs an eighth less.
    Ignore,
    /// Frames are parsed. From the first invalid one on, bytes are relayed without a change, and the tunnel
    /// ends like one of another protocol.
    #[default]
    Follow,
    /// Frames are parsed, and the first invalid one ends the tunnel with 1002
    /// ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)): a reserved opcode, a control
    /// frame that is fragmented or longer than 125 bytes, a length with its top bit set, a continuation
    /// without a message, a new message within an unfinished one, a frame that is masked by the upstream or
    /// not by the client, a Close with a reserved code or half a code.
    Strict,
}

impl TunnelConfig {
    /// Idle timeout 60 s, half-close timeout 30 s, close timeout 5 s; no limit of lifetime, rate or sizes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            idle: Some(Duration::from_secs(60)),
            idle_probe: false,
            half_close: Some(Duration::from_secs(30)),
            lifetime: None,
            lifetime_jitter: Duration::ZERO,
            close: Duration::from_secs(5),
            close_policy: ClosePolicy::transparent(),
            keep_alive: KeepAlive::new(),
            rate_limits: Sides::default(),
            max_frame_size: None,
            max_message_size: None,
            framing: Framing::Follow,
        }
    }

    /// Ends the tunnel when no byte moved in either direction for this long. Default 60 s, like nginx's
    /// `proxy_read_timeout`; `None` means no timeout.
    ///
    /// Of tunnels that time out together, each thread ends 4 in a millisecond, so that live tunnels do not wait; the delay is at
    /// most 5 s. This applies to all timeouts of tunnels.
    ///
    /// The bytes of a Pong to a Ping of [`keep_alive`](Self::keep_alive) count too.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle = timeout.into();
        self
    }

    /// Pings both sides of a WebSocket when no byte moved for three quarters of the idle timeout, so that a tunnel stays open
    /// as long as a side answers. The Pong is not relayed. No Pong changes nothing: the idle timeout ends the tunnel.
    /// Default off.
    ///
    /// For applications that are silent for long, and whose own keep-alive is too slow for the idle timeout. To detect dead
    /// peers faster, use [`keep_alive`](Self::keep_alive), which pings the sides that it watches instead.
    #[must_use]
    pub fn idle_probe(mut self) -> Self {
        self.idle_probe = true;
        self
    }

    /// Ends the tunnel when one side has finished sending and no byte moved for this long since. Default 30 s; with
    /// `None` only the idle timeout applies.
    #[must_use]
    pub fn half_close_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.half_close = timeout.into();
        self
    }

    /// Ends the tunnel at this age, even if bytes move. Default `None`: no limit.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.lifetime = lifetime.into();
        self
    }

    /// Ends each tunnel earlier than its maximum lifetime by a random part of this, so that tunnels that opened
    /// together do not end together. Limited to the lifetime. Default 0.
    #[must_use]
    pub fn lifetime_jitter(mut self, jitter: Duration) -> Self {
        self.lifetime_jitter = jitter;
        self
    }

    /// Maximum time for the sides of a WebSocket to answer the Close that the proxy sends when a timeout, a
    /// limit or a failure of the other side ends the tunnel; and to end their connections when both have sent
    /// a Close. After that the connections are closed. Default 5 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close = timeout;
        self
    }

    /// The Close that the sides of a WebSocket get for each end. Default [`ClosePolicy::transparent`].
    #[must_use]
    pub fn close_policy(mut self, close_policy: ClosePolicy) -> Self {
        self.close_policy = close_policy;
        self
    }

    /// Pings to idle sides of a WebSocket. Default none.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Maximum rate at which bytes are read from a side, for each tunnel. Default `None`: no limit.
    #[must_use]
    pub fn rate_limit(mut self, from: Side, limit: impl Into<Option<RateLimit>>) -> Self {
        self.rate_limits[from] = limit.into();
        self
    }

    /// Ends a WebSocket with 1009 when a frame has more than this many bytes of payload on the wire. No part of
    /// the frame is relayed. Default `None`: no limit.
    #[must_use]
    pub fn max_frame_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_frame_size = bytes.into();
        self
    }

    /// Ends a WebSocket with 1009 when the frames of a message together have more than this many bytes of
    /// payload on the wire, compressed by permessage-deflate or not. The frame that exceeds the limit is not
    /// relayed; earlier ones have been. Default `None`: no limit.
    #[must_use]
    pub fn max_message_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_message_size = bytes.into();
        self
    }

    /// Treatment of the frames of a WebSocket. Default [`Framing::Follow`].
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }
}

impl Default for TunnelConfig {
    fn default() -> Self {
        Self::new()
    }
}
