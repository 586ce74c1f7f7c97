//! How long handshakes take.

use ::metrics::histogram;
use tokio::time::Instant;

use super::HANDSHAKE;

/// An upgrade request on its way to an answer. Dropped before there is one, the client has left.
#[derive(Debug)]
pub(crate) struct Handshake {
    began: Instant,
    outcome: &'static str,
}

/// What the client was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Upgraded,
    /// The upstream's answer, which was no agreement.
    Relayed,
    /// A failure of the proxy's own.
    Refused,
}

impl Handshake {
    pub(crate) fn begin() -> Self {
        super::describe_once();
        Self { began: Instant::now(), outcome: "abandoned" }
    }

    pub(crate) fn end(mut self, outcome: Outcome) {
        self.outcome = match outcome {
            Outcome::Upgraded => "upgraded",
            Outcome::Relayed => "relayed",
            Outcome::Refused => "refused",
        };
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        histogram!(HANDSHAKE, "outcome" => self.outcome).record(self.began.elapsed());
    }
}
