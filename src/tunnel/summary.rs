//! [`TunnelSummary`] of a tunnel that has ended.

use std::{fmt, time::Duration};

use super::{Side, Sides, TunnelEnd, shared::Count};

/// Traffic, duration and end of a tunnel.
#[derive(Clone, Debug)]
pub struct TunnelSummary {
    pub(super) counts: Sides<Count>,
    pub(super) spliced: u64,
    pub(super) duration: Duration,
    pub(super) end: TunnelEnd,
    pub(super) first: Option<Side>,
    /// What each side of a WebSocket was told.
    pub(super) told: Option<Sides<Told>>,
    /// The code of each side's Close, for a WebSocket.
    pub(super) close_codes: Option<Sides<Option<u16>>>,
    /// The violation in frames that were relayed all the same.
    pub(super) invalid_framing: Sides<Option<&'static str>>,
}

/// What a side of a WebSocket was told at the end of the tunnel.
///
/// It is displayed like `close 1001`, `relayed close 1000`, `end of stream`, `aborted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// A Close of the proxy, with this code.
    Close(u16),
    /// The Close of the other side, with this code; 1005 for a Close without a code.
    RelayedClose(u16),
    /// No Close: its connection ended between two messages.
    EndOfStream,
    /// Nothing: its connection had failed, or ended within a message.
    Aborted,
}

impl Told {
    /// Returns the result without its code, as a label of metrics: `close`, `relayed_close`, `end_of_stream`, `aborted`.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Close(_) => "close",
            Self::RelayedClose(_) => "relayed_close",
            Self::EndOfStream => "end_of_stream",
            Self::Aborted => "aborted",
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close(code) => write!(f, "close {code}"),
            Self::RelayedClose(code) => write!(f, "relayed close {code}"),
            Self::EndOfStream => f.write_str("end of stream"),
            Self::Aborted => f.write_str("aborted"),
        }
    }
}

/// Code for the absence of a Close
/// ([RFC 6455, 7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
const ABNORMAL: u16 = 1006;

impl TunnelSummary {
    pub(crate) fn new(counts: Sides<Count>, duration: Duration, end: TunnelEnd) -> Self {
        Self {
            counts,
            spliced: 0,
            duration,
            end,
            first: None,
            told: None,
            close_codes: None,
            invalid_framing: Sides::default(),
        }
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn counts(&self) -> Sides<Count> {
        self.counts
    }

    /// Returns the bytes sent by `from` that the other side has accepted, without the handshake.
    #[must_use]
    pub fn bytes(&self, from: Side) -> u64 {
        self.counts[from].bytes
    }

    /// Returns the complete WebSocket messages received from `from`, also those that were not forwarded, such as one
    /// above a limit. 0 for other protocols. Nothing counts from the first invalid frame on.
    #[must_use]
    pub fn messages(&self, from: Side) -> u64 {
        self.counts[from].messages
    }

    /// Returns the code of the Close that `side` of a WebSocket sent: 1005 for a Close without a code, 1006
    /// without a Close. A Close sent by the proxy does not count. `None` for other protocols.
    #[must_use]
    pub fn close_code(&self, side: Side) -> Option<u16> {
        self.close_codes.map(|codes| codes[side].unwrap_or(ABNORMAL))
    }

    /// Returns what `to` was told at the end of a WebSocket. `None` for other protocols, and after
    /// [invalid framing](Self::invalid_framing).
    #[must_use]
    pub fn told(&self, to: Side) -> Option<Told> {
        self.told.map(|told| told[to])
    }

    /// Returns the violation if `side` of a WebSocket sent invalid framing that was relayed, because framing is
    /// not [strict](crate::Framing::Strict). From there on messages were not counted, of neither side, and no
    /// Close of the proxy could be sent.
    #[must_use]
    pub fn invalid_framing(&self, side: Side) -> Option<&'static str> {
        self.invalid_framing[side]
    }

    /// Returns the bytes of both directions that were moved in the kernel by `splice(2)`. 0 if that is not
    /// possible: for TLS, HTTP/2, small messages, and on systems other than Linux.
    #[must_use]
    pub fn spliced(&self) -> u64 {
        self.spliced
    }

    /// Returns the time from the verified 101, or from [`Tunnel::new`](crate::Tunnel::new), to the end.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the reason of the end.
    #[must_use]
    pub fn end(&self) -> &TunnelEnd {
        &self.end
    }

    /// Returns the side that ended first, by the end of its connection or by a Close, regardless of the reason
    /// of the end. `None` if neither side had ended.
    #[must_use]
    pub fn first(&self) -> Option<Side> {
        self.first
    }
}
