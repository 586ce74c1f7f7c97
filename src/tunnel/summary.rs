//! What is known of a tunnel once it has ended.

use std::{fmt, io, sync::Arc, time::Duration};

use super::{Side, Sides, shared::Count};

/// Why a tunnel ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TunnelEnd {
    /// Both sides finished sending, `first` before the other; of a WebSocket the first Close counts.
    Closed {
        /// Who finished first.
        first: Side,
    },
    /// Reading from or writing to a side failed; the other side was closed too.
    Failed {
        /// Whose connection failed.
        side: Side,
        /// How.
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
    /// Ended by a drain or by its [handle](crate::TunnelHandle), and cut at the end of the grace.
    DrainTimeout,
    /// A side did not answer our pings; the other was told.
    KeepAliveTimeout {
        /// Which.
        side: Side,
    },
    /// A side sent a WebSocket frame or message above the limit, and that did not pass.
    TooBig {
        /// Which.
        side: Side,
    },
    /// A side sent what is no valid WebSocket framing, and that did not pass.
    InvalidFraming {
        /// Which.
        side: Side,
        /// In words: `reserved opcode`.
        reason: &'static str,
    },
    /// The client's connection did not become a tunnel: the client disconnected before the 101 was
    /// sent, or an outer service replaced the response.
    UpgradeFailed,
    /// The 101 was not sent within the [upgrade timeout](crate::UpgradeProxyLayer::upgrade_timeout).
    UpgradeTimeout,
}

impl TunnelEnd {
    /// Whether both sides closed the tunnel, by themselves or when it was drained.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Drained)
    }

    /// One word for this end, to count it by. The words stay the same; there may be more of them:
    ///
    /// | reason | end |
    /// | --- | --- |
    /// | `client_closed`, `upstream_closed` | [`Closed`](Self::Closed), by who was first |
    /// | `client_failed`, `upstream_failed` | [`Failed`](Self::Failed) |
    /// | `idle_timeout` | [`IdleTimeout`](Self::IdleTimeout) |
    /// | `half_close_timeout` | [`HalfCloseTimeout`](Self::HalfCloseTimeout) |
    /// | `lifetime_reached` | [`LifetimeReached`](Self::LifetimeReached) |
    /// | `drained`, `drained_cut` | [`Drained`](Self::Drained), [`DrainTimeout`](Self::DrainTimeout) |
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
            Self::DrainTimeout => "drained_cut",
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
            Self::DrainTimeout => f.write_str("drained, and cut at the end of the grace"),
            Self::KeepAliveTimeout { side } => write!(f, "{side} did not answer pings"),
            Self::TooBig { side } => write!(f, "message of the {side} is too big"),
            Self::InvalidFraming { side, reason } => write!(f, "{side} broke the framing: {reason}"),
            Self::UpgradeFailed => f.write_str("the client's connection was not upgraded"),
            Self::UpgradeTimeout => f.write_str("upgrade timeout"),
        }
    }
}

/// What a tunnel carried, how long it stood and why it ended.
#[derive(Clone, Debug)]
pub struct TunnelSummary {
    counts: Sides<Count>,
    spliced: u64,
    duration: Duration,
    end: TunnelEnd,
    first: Option<Side>,
    /// Of a WebSocket: the code each side sent.
    close_codes: Option<Sides<u16>>,
    /// What was wrong with the frames of a side.
    invalid: Sides<Option<&'static str>>,
}

/// No Close.
const ABNORMAL: u16 = 1006;

impl TunnelSummary {
    pub(crate) fn new(counts: Sides<Count>, duration: Duration, end: TunnelEnd) -> Self {
        Self { counts, spliced: 0, duration, end, first: None, close_codes: None, invalid: Sides::default() }
    }

    pub(crate) fn with_first(mut self, first: Option<Side>) -> Self {
        self.first = first;
        self
    }

    /// A WebSocket, with the code of each side's Close.
    pub(crate) fn with_close_codes(mut self, codes: Sides<Option<u16>>) -> Self {
        self.close_codes = Some(codes.map(|code| code.unwrap_or(ABNORMAL)));
        self
    }

    /// With the reason why frames of a side were invalid and passed all the same.
    pub(crate) fn with_invalid_framing(mut self, invalid: Sides<Option<&'static str>>) -> Self {
        self.invalid = invalid;
        self
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn counts(&self) -> Sides<Count> {
        self.counts
    }

    pub(crate) fn with_spliced(mut self, bytes: u64) -> Self {
        self.spliced = bytes;
        self
    }

    /// Bytes sent by `from` that the other side has taken, handshake not counted.
    #[must_use]
    pub fn bytes(&self, from: Side) -> u64 {
        self.counts[from].bytes
    }

    /// Complete WebSocket messages sent by `from`. 0 for other protocols. Nothing counts from the first
    /// invalid frame on.
    #[must_use]
    pub fn messages(&self, from: Side) -> u64 {
        self.counts[from].messages
    }

    /// The code in the Close that `side` of a WebSocket sent: 1005 when it had none, 1006 when it sent no
    /// Close. What the proxy told a side is not in here. `None` for any other protocol.
    #[must_use]
    pub fn close_code(&self, side: Side) -> Option<u16> {
        self.close_codes.map(|codes| codes[side])
    }

    /// What was wrong with the frames of `side` of a WebSocket, in words, when they were no valid framing and
    /// went through all the same: from there on messages were not counted, of neither side, and nobody could be
    /// told why the tunnel ends.
    #[must_use]
    pub fn invalid_framing(&self, side: Side) -> Option<&'static str> {
        self.invalid[side]
    }

    /// Bytes of both directions that went through the kernel alone, by `splice(2)`. 0 where that is
    /// not possible: for TLS, HTTP/2, messages that are small, and on systems other than Linux.
    #[must_use]
    pub fn spliced(&self) -> u64 {
        self.spliced
    }

    /// From the verified 101, or from [`Tunnel::new`](crate::Tunnel::new), to the end.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Why it ended.
    #[must_use]
    pub fn end(&self) -> &TunnelEnd {
        &self.end
    }

    /// Which side ended first, by the end of its connection or by a Close, whatever the reason of the whole
    /// is. `None` when neither had.
    #[must_use]
    pub fn first(&self) -> Option<Side> {
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_the_reason_of_the_table() {
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
            (TunnelEnd::DrainTimeout, "drained_cut"),
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
        }
    }
}
