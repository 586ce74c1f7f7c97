//! [`DrainConfig`], the settings of a drain.

use std::time::Duration;

use crate::tunnel::CloseFrame;

/// Settings of a drain: the Close frame, the jitter and the grace period.
///
/// ```
/// use std::time::Duration;
/// use tower_upgrade_proxy::{CloseFrame, CloseCode, DrainConfig};
///
/// let config = DrainConfig::new()
///     .close(CloseFrame::new(CloseCode::SERVICE_RESTART).with_reason("deploy 42"))
///     .jitter(Duration::from_secs(5))
///     .grace(Duration::from_secs(20));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainConfig {
    pub(super) close: Option<CloseFrame>,
    pub(super) jitter: Option<Duration>,
    pub(super) grace: Duration,
}

impl DrainConfig {
    /// The defaults: the Close of each tunnel's [`ClosePolicy`](crate::ClosePolicy), a jitter by the number of tunnels, a
    /// grace of 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self { close: None, jitter: None, grace: Duration::from_secs(30) }
    }

    /// Sets the Close frame that both sides of a WebSocket get. Default `None`: each side gets that of the
    /// [`ClosePolicy`](crate::ClosePolicy) for [`TunnelEnd::Drained`](crate::TunnelEnd::Drained), by default none for the
    /// client.
    ///
    /// A Close of the drain is meant for what clients must know, like [`CloseCode::POLICY_VIOLATION`] for a session that was
    /// revoked. Some clients do not reconnect after one.
    ///
    /// [`CloseCode::POLICY_VIOLATION`]: crate::CloseCode::POLICY_VIOLATION
    #[must_use]
    pub fn close(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.close = close.into();
        self
    }

    /// Sets the window within which each tunnel is notified at a random moment, so that clients do not all
    /// reconnect at once. The window is at most half of the grace; a single tunnel is notified immediately.
    /// Default `None`: a second for each 2,000 tunnels, and at least one.
    #[must_use]
    pub fn jitter(mut self, jitter: impl Into<Option<Duration>>) -> Self {
        self.jitter = jitter.into();
        self
    }

    /// Sets the time, jitter included, after which the remaining tunnels are aborted. Default 30 s.
    /// [`Drain::shutdown`](crate::Drain::shutdown) has a parameter instead.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self::new()
    }
}
