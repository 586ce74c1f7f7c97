//! [`DrainConfig`], the settings of a drain.

use std::time::Duration;

use crate::tunnel::{CloseCode, CloseFrame};

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
    pub(super) close: CloseFrame,
    pub(super) jitter: Duration,
    pub(super) grace: Duration,
}

impl DrainConfig {
    /// The defaults: Close 1001 "going away", a jitter of 1 s, a grace of 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            close: CloseFrame::new(CloseCode::GOING_AWAY).with_reason("going away"),
            jitter: Duration::from_secs(1),
            grace: Duration::from_secs(30),
        }
    }

    /// Sets the Close frame that both sides of a WebSocket get. Default
    /// [`CloseCode::GOING_AWAY`], 1001, with the reason "going away"; a server that restarts sends
    /// [`CloseCode::SERVICE_RESTART`], 1012
    /// ([RFC 6455, 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)).
    #[must_use]
    pub fn close(mut self, close: CloseFrame) -> Self {
        self.close = close;
        self
    }

    /// Sets the window within which each tunnel is notified at a random moment, so that clients do not all
    /// reconnect at once. The window is at most half of the grace; a single tunnel is notified immediately.
    /// Default 1 s; use more with many thousand tunnels.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
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
