//! [`HandshakeTimer`], the duration of handshakes.

#[cfg(feature = "metrics")]
use {super::names, ::metrics::histogram, tokio::time::Instant};

/// Timer of an upgrade request, recorded on drop. Dropped before [`stop`](Self::stop), it counts as abandoned:
/// the client has disconnected without a response.
#[derive(Debug)]
pub(crate) struct HandshakeTimer {
    #[cfg(feature = "metrics")]
    start: Instant,
    #[cfg(feature = "metrics")]
    outcome: &'static str,
}

/// Result of a handshake, by its response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Upgraded,
    /// The upstream has responded without an upgrade.
    Relayed,
    /// Failure response of the proxy itself.
    Refused,
}

impl HandshakeTimer {
    pub(crate) fn start() -> Self {
        #[cfg(feature = "metrics")]
        names::describe_once();
        Self {
            #[cfg(feature = "metrics")]
            start: Instant::now(),
            #[cfg(feature = "metrics")]
            outcome: "abandoned",
        }
    }

    pub(crate) fn stop(mut self, outcome: Outcome) {
        #[cfg(feature = "metrics")]
        {
            self.outcome = match outcome {
                Outcome::Upgraded => "upgraded",
                Outcome::Relayed => "relayed",
                Outcome::Refused => "refused",
            };
        }
    }
}

#[cfg(feature = "metrics")]
impl Drop for HandshakeTimer {
    fn drop(&mut self) {
        histogram!(names::HANDSHAKE, "outcome" => self.outcome).record(self.start.elapsed());
    }
}
