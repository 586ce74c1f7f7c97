//! Pings of our own, to learn whether a side that is quiet is still there
//! ([RFC 6455, 5.5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2)).

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Side,
    frame_relay::{Tag, random},
};

/// Pings to the sides of a WebSocket that are quiet. Off by default.
///
/// A side that sent nothing for the interval gets a Ping; when it then sends nothing for the timeout, the
/// tunnel ends with [`KeepAliveTimeout`](super::TunnelEnd::KeepAliveTimeout). The Pong to such a Ping is not passed
/// on to the other side; pings and pongs of the two sides are. A Ping that the other side sent counts as
/// one of ours: none is sent while it is not answered
/// ([RFC 6455, 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)).
///
/// Only WebSocket tunnels have pings, and only between frames: within a frame that its sender does not
/// finish it is left to the [idle timeout](super::TunnelConfig::idle_timeout).
///
/// ```
/// use std::time::Duration;
/// use tower_upgrade_proxy::{KeepAlive, TunnelConfig};
///
/// let config = TunnelConfig::new()
///     .keep_alive(KeepAlive::new().client(Duration::from_secs(20)).timeout(Duration::from_secs(10)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    client: Option<Duration>,
    upstream: Option<Duration>,
    timeout: Duration,
}

/// No side is pinged more often.
const SHORTEST: Duration = Duration::from_millis(1);

impl KeepAlive {
    /// No pings; where an interval is set, 20 s for an answer.
    #[must_use]
    pub fn new() -> Self {
        Self { client: None, upstream: None, timeout: Duration::from_secs(20) }
    }

    /// Pings the client when it was quiet for this long, 1 ms at least. Default `None`.
    #[must_use]
    pub fn client(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.client = interval.into();
        self
    }

    /// Pings the upstream when it was quiet for this long, 1 ms at least. Default `None`.
    #[must_use]
    pub fn upstream(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.upstream = interval.into();
        self
    }

    /// How long a side may take until it sends something, once it was pinged. Default 20 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn watches(&self, side: Side) -> bool {
        self.interval(side).is_some()
    }

    /// What is kept of `side`, when it is to be pinged.
    pub(super) fn watch(&self, side: Side, now: Instant) -> Option<Box<Liveness>> {
        let (interval, timeout) = (self.interval(side)?.max(SHORTEST), self.timeout);
        Some(Box::new(Liveness { interval, timeout, last_activity: now, pinged_at: None, tag: random() }))
    }

    fn interval(&self, side: Side) -> Option<Duration> {
        match side {
            Side::Client => self.client,
            Side::Upstream => self.upstream,
        }
    }
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a side is alive.
#[derive(Debug)]
pub(super) struct Liveness {
    interval: Duration,
    timeout: Duration,
    /// When it last gave a sign of life.
    last_activity: Instant,
    /// When it was asked for one since.
    pinged_at: Option<Instant>,
    /// What its pings carry.
    tag: Tag,
}

impl Liveness {
    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// It has sent something.
    pub(super) fn on_activity(&mut self, now: Instant) {
        self.last_activity = now;
        self.pinged_at = None;
    }

    /// It is asked for something.
    pub(super) fn on_ping_sent(&mut self, now: Instant) {
        self.pinged_at.get_or_insert(now);
    }

    /// When it is to be asked if it stays quiet; or, if it was, when it is given up.
    pub(super) fn next(&self) -> Option<(Instant, bool)> {
        match self.pinged_at {
            None => Some((self.last_activity.checked_add(self.interval)?, true)),
            Some(pinged_at) => Some((pinged_at.checked_add(self.timeout)?, false)),
        }
    }
}
