//! What is known of a tunnel once it has ended.

use std::{fmt, io, sync::Arc, time::Duration};

use crate::Upstream;

/// One of the two ends of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who asked for the upgrade.
    Client,
    /// Who answered it.
    Upstream,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        })
    }
}

/// Why a tunnel ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TunnelEnd {
    /// Both sides finished sending, `first` before the other.
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
    /// The client never got hold of its end: it left while the 101 was on its way, or an outer
    /// service answered something else.
    HandOverFailed,
    /// The 101 was not sent within the hand-over timeout.
    HandOverTimeout,
}

impl TunnelEnd {
    /// Whether the tunnel ended as its two sides meant it to.
    #[must_use]
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Closed { .. })
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
            Self::HandOverFailed => f.write_str("the client's connection was not handed over"),
            Self::HandOverTimeout => f.write_str("hand-over timeout"),
        }
    }
}

/// What a tunnel carried, how long it stood and why it ended.
#[derive(Clone, Debug)]
pub struct TunnelSummary {
    client_to_upstream: u64,
    upstream_to_client: u64,
    spliced: u64,
    duration: Duration,
    end: TunnelEnd,
    upstream: Option<Upstream>,
}

impl TunnelSummary {
    pub(crate) fn new(
        client_to_upstream: u64,
        upstream_to_client: u64,
        duration: Duration,
        end: TunnelEnd,
    ) -> Self {
        Self { client_to_upstream, upstream_to_client, spliced: 0, duration, end, upstream: None }
    }

    pub(crate) fn with_upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(upstream);
        self
    }

    pub(crate) fn with_spliced(mut self, bytes: u64) -> Self {
        self.spliced = bytes;
        self
    }

    /// Bytes the upstream took from the client, handshake not counted.
    #[must_use]
    pub fn client_to_upstream(&self) -> u64 {
        self.client_to_upstream
    }

    /// Bytes the client took from the upstream, handshake not counted.
    #[must_use]
    pub fn upstream_to_client(&self) -> u64 {
        self.upstream_to_client
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

    /// Where it went; `None` for a [`Tunnel`](crate::Tunnel) used alone.
    #[must_use]
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }
}
