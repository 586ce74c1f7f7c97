//! [`DrainConfig`].

use std::time::Duration;

use crate::{tunnel::CloseCode, tunnel::CloseFrame};

/// How tunnels are ended from outside.
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
    /// Close 1001 "going away", told within 1 s, cut after 30 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            close: CloseFrame::new(CloseCode::GOING_AWAY).with_reason("going away"),
            jitter: Duration::from_secs(1),
            grace: Duration::from_secs(30),
        }
    }

    /// The Close that both sides of a WebSocket are sent. Default
    /// [`CloseCode::GOING_AWAY`], 1001, with the reason "going away"; a server that comes back says
    /// [`CloseCode::SERVICE_RESTART`], 1012
    /// ([RFC 6455, 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)).
    #[must_use]
    pub fn close(mut self, close: CloseFrame) -> Self {
        self.close = close;
        self
    }

    /// Tells each tunnel at a random moment within this time, so that clients do not come back in one wave.
    /// No more than half of the grace is taken for it; a tunnel that is alone is told at once. Default 1 s;
    /// with many thousand tunnels take more.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long all may take together, the jitter included; then what is left is cut. Default 30 s.
    /// [`Drain::shutdown`](crate::Drain::shutdown) has its own.
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
