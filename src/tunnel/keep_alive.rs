//! Pings that detect a side whose connection is dead
//! ([RFC 6455, 5.5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2)).

use std::time::Duration;

use tokio::time::Instant;

use super::{Side, frame_relay::Tag, random::random_bytes};

/// Pings to idle sides of a WebSocket. Off by default.
///
/// A side that has sent nothing for the interval is sent a Ping. If it sends nothing for the timeout either,
/// the tunnel ends with [`KeepAliveTimeout`](super::TunnelEnd::KeepAliveTimeout). The Pong to such a Ping is
/// not relayed to the other side; the Pings and Pongs of the two sides are. A relayed Ping counts like one of
/// the proxy: no other is sent until it is answered
/// ([RFC 6455, 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)).
///
/// Pings are sent in WebSocket tunnels only, and between frames only: if the other side stops in the middle of
/// a frame, the [idle timeout](super::TunnelConfig::idle_timeout) ends the tunnel.
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

/// Minimum interval.
const MIN_INTERVAL: Duration = Duration::from_millis(1);

impl KeepAlive {
    /// No Pings, and a timeout of 20 s.
    #[must_use]
    pub fn new() -> Self {
        Self { client: None, upstream: None, timeout: Duration::from_secs(20) }
    }

    /// Pings the client after this time without bytes from it, at least 1 ms. Default `None`: no Pings.
    #[must_use]
    pub fn client(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.client = interval.into();
        self
    }

    /// Pings the upstream after this time without bytes from it, at least 1 ms. Default `None`: no Pings.
    #[must_use]
    pub fn upstream(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.upstream = interval.into();
        self
    }

    /// Maximum time from a Ping until the side sends something. Default 20 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns true if `side` is pinged.
    pub(super) fn watches(&self, side: Side) -> bool {
        self.interval(side).is_some()
    }

    /// Activity record of `side`, if it is pinged.
    pub(super) fn watch(&self, side: Side, now: Instant) -> Option<Box<Liveness>> {
        Some(Box::new(Liveness {
            interval: self.interval(side)?.max(MIN_INTERVAL),
            timeout: self.timeout,
            last_activity: now,
            pinged_at: None,
            tag: random_bytes(),
        }))
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

/// Activity of a side that is pinged.
#[derive(Debug)]
pub(super) struct Liveness {
    interval: Duration,
    timeout: Duration,
    last_activity: Instant,
    /// Time of the Ping that is not answered yet.
    pinged_at: Option<Instant>,
    /// Payload of all Pings, random and the same for the whole tunnel: an answer may arrive after the next Ping was
    /// sent.
    tag: Tag,
}

impl Liveness {
    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// Records activity of the side. It counts as the answer to all Pings.
    pub(super) fn on_activity(&mut self, now: Instant) {
        self.last_activity = now;
        self.pinged_at = None;
    }

    /// Records a Ping to the side. The timeout starts with the first one.
    pub(super) fn on_ping_sent(&mut self, now: Instant) {
        self.pinged_at.get_or_insert(now);
    }

    /// Returns true while a Ping is not answered.
    pub(super) fn is_pinged(&self) -> bool {
        self.pinged_at.is_some()
    }

    /// Deadline of the answer, if the side is pinged; otherwise the time of the next Ping.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.pinged_at {
            Some(pinged_at) => pinged_at.checked_add(self.timeout),
            None => self.last_activity.checked_add(self.interval),
        }
    }
}

/// The Pings before the idle timeout.
#[derive(Debug)]
pub(super) struct Probe {
    interval: Duration,
    /// Time of the last byte before the latest Pings.
    sent_after: Option<Instant>,
    /// Payload of all Pings.
    tag: Tag,
}

impl Probe {
    /// Pings at three quarters of the idle timeout.
    pub(super) fn new(idle: Duration) -> Self {
        Self { interval: idle / 4 * 3, sent_after: None, tag: random_bytes() }
    }

    /// Time from the last byte to the Pings.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn tag(&self) -> Tag {
        self.tag
    }

    /// Returns true if no Pings were sent since the last byte.
    pub(super) fn is_due_after(&self, last_byte: Instant) -> bool {
        self.sent_after != Some(last_byte)
    }

    /// Records the Pings.
    pub(super) fn on_sent(&mut self, last_byte: Instant) {
        self.sent_after = Some(last_byte);
    }
}
