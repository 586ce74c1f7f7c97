//! [`TunnelEnd`], the reason why a tunnel ended.

use std::{fmt, io, sync::Arc};

use super::Side;

/// Reason why a tunnel ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TunnelEnd {
    /// Both sides finished sending, `first` before the other. In a WebSocket, a side finishes with its Close.
    Closed {
        /// The side that finished first.
        first: Side,
    },
    /// A read from a side or a write to it failed. The other side was closed too.
    Failed {
        /// The side whose connection failed.
        side: Side,
        /// The error of the read or write.
        error: Arc<io::Error>,
    },
    /// No byte moved for the idle timeout.
    IdleTimeout,
    /// One side had finished, and no byte moved for the half-close timeout.
    HalfCloseTimeout,
    /// The tunnel reached its maximum lifetime.
    LifetimeReached,
    /// Ended by a drain or by its [handle](crate::TunnelHandle), and closed by both sides within the grace.
    Drained,
    /// Ended by a drain or by its [handle](crate::TunnelHandle), and aborted at the end of the grace.
    DrainTimeout,
    /// A side did not answer a Ping of the [keep-alive](crate::KeepAlive).
    KeepAliveTimeout {
        /// The side without an answer.
        side: Side,
    },
    /// A side sent a WebSocket frame or message above the limit. The frame was not relayed.
    TooBig {
        /// The sender.
        side: Side,
    },
    /// A side sent invalid WebSocket framing, and the framing is [strict](crate::Framing::Strict). The frame was
    /// not relayed.
    InvalidFraming {
        /// The sender.
        side: Side,
        /// The violation, like `reserved opcode`.
        reason: &'static str,
    },
    /// The client's connection did not become a tunnel: the client disconnected before the 101 was
    /// sent, or an outer service replaced the response.
    UpgradeFailed,
    /// The 101 was not sent within the [upgrade timeout](crate::UpgradeProxyLayer::upgrade_timeout).
    UpgradeTimeout,
}

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// The client, by a Close or by the end or failure of its connection.
    Client,
    /// The upstream, in the same ways.
    Upstream,
    /// The proxy: a timeout, a drain, a limit.
    Proxy,
}

impl Initiator {
    /// Returns the name in lower case, as a label of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

impl fmt::Display for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Side> for Initiator {
    fn from(side: Side) -> Self {
        match side {
            Side::Client => Self::Client,
            Side::Upstream => Self::Upstream,
        }
    }
}

impl TunnelEnd {
    /// Returns who ended the tunnel.
    #[must_use]
    pub fn initiator(&self) -> Initiator {
        match *self {
            Self::Closed { first: side } | Self::Failed { side, .. } => side.into(),
            Self::UpgradeFailed => Initiator::Client,
            _ => Initiator::Proxy,
        }
    }

    /// Returns true if both sides closed the tunnel, by themselves or when it was drained.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Drained)
    }

    /// Returns one word for this end, as a label of metrics. The words are stable; new ones may be added:
    ///
    /// | reason | end |
    /// | --- | --- |
    /// | `client_closed`, `upstream_closed` | [`Closed`](Self::Closed), by the side that finished first |
    /// | `client_failed`, `upstream_failed` | [`Failed`](Self::Failed) |
    /// | `idle_timeout` | [`IdleTimeout`](Self::IdleTimeout) |
    /// | `half_close_timeout` | [`HalfCloseTimeout`](Self::HalfCloseTimeout) |
    /// | `lifetime_reached` | [`LifetimeReached`](Self::LifetimeReached) |
    /// | `drained`, `drain_timeout` | [`Drained`](Self::Drained), [`DrainTimeout`](Self::DrainTimeout) |
    /// | `client_keep_alive_timeout`, `upstream_keep_alive_timeout` | [`KeepAliveTimeout`](Self::KeepAliveTimeout) |
    /// | `client_too_big`, `upstream_too_big` | [`TooBig`](Self::TooBig) |
    /// | `client_invalid_framing`, `upstream_invalid_framing` | [`InvalidFraming`](Self::InvalidFraming) |
    /// | `upgrade_failed` | [`UpgradeFailed`](Self::UpgradeFailed) |
    /// | `upgrade_timeout` | [`UpgradeTimeout`](Self::UpgradeTimeout) |
    #[must_use]
    pub fn reason(&self) -> &'static str {
        use Side::{Client, Upstream};
        match self {
            Self::Closed { first: Client } => "client_closed",
            Self::Closed { first: Upstream } => "upstream_closed",
            Self::Failed { side: Client, .. } => "client_failed",
            Self::Failed { side: Upstream, .. } => "upstream_failed",
            Self::IdleTimeout => "idle_timeout",
            Self::HalfCloseTimeout => "half_close_timeout",
            Self::LifetimeReached => "lifetime_reached",
            Self::Drained => "drained",
            Self::DrainTimeout => "drain_timeout",
            Self::KeepAliveTimeout { side: Client } => "client_keep_alive_timeout",
            Self::KeepAliveTimeout { side: Upstream } => "upstream_keep_alive_timeout",
            Self::TooBig { side: Client } => "client_too_big",
            Self::TooBig { side: Upstream } => "upstream_too_big",
            Self::InvalidFraming { side: Client, .. } => "client_invalid_framing",
            Self::InvalidFraming { side: Upstream, .. } => "upstream_invalid_framing",
            Self::UpgradeFailed => "upgrade_failed",
            Self::UpgradeTimeout => "upgrade_timeout",
        }
    }
}

impl fmt::Display for TunnelEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { first } => write!(f, "closed by the {first}"),
            Self::Failed { side, error } => write!(f, "{side} connection failed: {error}"),
            Self::IdleTimeout => f.write_str("idle timeout"),
            Self::HalfCloseTimeout => f.write_str("half-close timeout"),
            Self::LifetimeReached => f.write_str("maximum lifetime reached"),
            Self::Drained => f.write_str("drained"),
            Self::DrainTimeout => f.write_str("drained, and aborted at the end of the grace"),
            Self::KeepAliveTimeout { side } => write!(f, "{side} did not answer pings"),
            Self::TooBig { side } => write!(f, "message of the {side} is too big"),
            Self::InvalidFraming { side, reason } => write!(f, "{side} broke the framing: {reason}"),
            Self::UpgradeFailed => f.write_str("the client's connection was not upgraded"),
            Self::UpgradeTimeout => f.write_str("upgrade timeout"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_the_reason_in_the_table() {
        let (client, upstream) = (Side::Client, Side::Upstream);
        let error = Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
        let failed = |side| TunnelEnd::Failed { side, error: Arc::clone(&error) };
        let broken = |side| TunnelEnd::InvalidFraming { side, reason: "x" };
        for (end, reason) in [
            (TunnelEnd::Closed { first: client }, "client_closed"),
            (TunnelEnd::Closed { first: upstream }, "upstream_closed"),
            (failed(client), "client_failed"),
            (failed(upstream), "upstream_failed"),
            (TunnelEnd::IdleTimeout, "idle_timeout"),
            (TunnelEnd::HalfCloseTimeout, "half_close_timeout"),
            (TunnelEnd::LifetimeReached, "lifetime_reached"),
            (TunnelEnd::Drained, "drained"),
            (TunnelEnd::DrainTimeout, "drain_timeout"),
            (TunnelEnd::KeepAliveTimeout { side: client }, "client_keep_alive_timeout"),
            (TunnelEnd::KeepAliveTimeout { side: upstream }, "upstream_keep_alive_timeout"),
            (TunnelEnd::TooBig { side: client }, "client_too_big"),
            (TunnelEnd::TooBig { side: upstream }, "upstream_too_big"),
            (broken(client), "client_invalid_framing"),
            (broken(upstream), "upstream_invalid_framing"),
            (TunnelEnd::UpgradeFailed, "upgrade_failed"),
            (TunnelEnd::UpgradeTimeout, "upgrade_timeout"),
        ] {
            assert_eq!(end.reason(), reason, "{end}");
            let by_a_side = ["_closed", "upstream_failed", "client_failed", "upgrade_failed"];
            let expected = match reason.split('_').next() {
                _ if !by_a_side.iter().any(|part| reason.ends_with(part)) => "proxy",
                Some("upstream") => "upstream",
                _ => "client",
            };
            assert_eq!(end.initiator().as_str(), expected, "{end}");
        }
    }
}
