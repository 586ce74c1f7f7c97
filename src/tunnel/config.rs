//! [`TunnelConfig`]: how long a tunnel may stand, and how it ends.

use std::time::Duration;

use super::{ClosePolicy, KeepAlive, RateLimit, Side};

/// What ends a tunnel although both sides are still there, and what is done about it.
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
    pub(super) half_close: Option<Duration>,
    pub(super) lifetime: Option<Duration>,
    pub(super) lifetime_jitter: Duration,
    pub(super) close: Duration,
    pub(super) close_policy: ClosePolicy,
    pub(super) keep_alive: KeepAlive,
    pub(super) from_client: Option<RateLimit>,
    pub(super) from_upstream: Option<RateLimit>,
    pub(super) sizes: Sizes,
    pub(super) framing: Framing,
}

/// How a tunnel treats the frames of a WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// The bytes are those of any other protocol: the proxy sends no Close, and
    /// [`close_policy`](TunnelConfig::close_policy), [`keep_alive`](TunnelConfig::keep_alive), the limits on
    /// sizes and the count of messages are without effect. Spliced bulk in frames of 64 KiB costs an eighth
    /// less.
    Ignore,
    /// Frames are followed. From the first invalid one on, bytes pass as they are, and the tunnel ends like
    /// one of another protocol.
    #[default]
    Follow,
    /// Frames are followed, and the first invalid one ends the tunnel with 1002
    /// ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)): a reserved opcode, a control
    /// frame that is fragmented or longer than 125 bytes, a length with its top bit set, a continuation
    /// without a message, a frame that is masked by the upstream or not by the client, a Close with a
    /// reserved code.
    Strict,
}

/// The longest that may pass, in bytes of payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) frame: Option<u64>,
    pub(super) message: Option<u64>,
}

impl TunnelConfig {
    /// Idle 60 s, half-closed 30 s, no limit of lifetime, of rate or of sizes; 5 s for a Close to be
    /// answered.
    #[must_use]
    pub fn new() -> Self {
        Self {
            idle: Some(Duration::from_secs(60)),
            half_close: Some(Duration::from_secs(30)),
            lifetime: None,
            lifetime_jitter: Duration::ZERO,
            close: Duration::from_secs(5),
            close_policy: ClosePolicy::new(),
            keep_alive: KeepAlive::new(),
            from_client: None,
            from_upstream: None,
            sizes: Sizes::default(),
            framing: Framing::Follow,
        }
    }

    /// Ends the tunnel when no byte came for this long, in either direction. Default 60 s, like
    /// nginx's `proxy_read_timeout`; `None` switches it off.
    ///
    /// The Pong to a Ping of [`keep_alive`](Self::keep_alive) is bytes too.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle = timeout.into();
        self
    }

    /// Ends the tunnel when one side has finished sending and the other sent no byte for this
    /// long. Default 30 s; `None` leaves it to the idle timeout.
    #[must_use]
    pub fn half_close_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.half_close = timeout.into();
        self
    }

    /// Ends the tunnel at this age, busy or not. Default `None`, no limit.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.lifetime = lifetime.into();
        self
    }

    /// Ends each tunnel up to this much before its maximum lifetime, at random, so that tunnels which
    /// were opened together do not end together. More than the lifetime counts as that. Default 0.
    #[must_use]
    pub fn lifetime_jitter(mut self, jitter: Duration) -> Self {
        self.lifetime_jitter = jitter;
        self
    }

    /// How long the sides of a WebSocket may take to answer the Close they are sent when a timeout, a
    /// limit or the other side's failure ends their tunnel; and to end their connections when they have sent
    /// each other a Close. Then they are cut. Default 5 s.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close = timeout;
        self
    }

    /// What the sides of a WebSocket are told at each end. Default [`ClosePolicy::new`].
    #[must_use]
    pub fn close_policy(mut self, close_policy: ClosePolicy) -> Self {
        self.close_policy = close_policy;
        self
    }

    /// Pings to the sides of a WebSocket that are quiet. Default none.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: KeepAlive) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// How fast bytes are taken from a side, for each tunnel. Default as fast as the other side takes
    /// them.
    #[must_use]
    pub fn rate_limit(mut self, from: Side, limit: impl Into<Option<RateLimit>>) -> Self {
        match from {
            Side::Client => self.from_client = limit.into(),
            Side::Upstream => self.from_upstream = limit.into(),
        }
        self
    }

    /// Ends a WebSocket with 1009 when a frame has more than this many bytes of payload, as they are on
    /// the wire. None of it passes. Default `None`, no limit.
    #[must_use]
    pub fn max_frame_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.sizes.frame = bytes.into();
        self
    }

    /// Ends a WebSocket with 1009 when the frames of a message have more than this many bytes of payload
    /// together, as they are on the wire: what permessage-deflate compressed counts as it is. The frame
    /// that goes beyond does not pass; those before it have. Default `None`, no limit.
    #[must_use]
    pub fn max_message_size(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.sizes.message = bytes.into();
        self
    }

    /// How the frames of a WebSocket are treated. Default [`Framing::Follow`].
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
