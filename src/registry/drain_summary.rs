//! [`DrainSummary`]: how it went.

use std::fmt;

use crate::tunnel::TunnelEnd;

/// How the tunnels of a drain have ended, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainSummary {
    agreed: usize,
    finished: usize,
    cut: usize,
    left: usize,
}

/// How one of them has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Agreed,
    Finished,
    Cut,
}

impl Outcome {
    pub(crate) fn of(end: &TunnelEnd) -> Self {
        match end {
            TunnelEnd::Drained { cut: false } => Self::Agreed,
            TunnelEnd::Drained { cut: true } => Self::Cut,
            _ => Self::Finished,
        }
    }
}

impl DrainSummary {
    pub(super) fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Agreed => &mut self.agreed,
            Outcome::Finished => &mut self.finished,
            Outcome::Cut => &mut self.cut,
        } += 1;
    }

    pub(super) fn with_left(self, left: usize) -> Self {
        Self { left, ..self }
    }

    /// Ended as they were told to: both sides have answered.
    #[must_use]
    pub fn agreed(&self) -> usize {
        self.agreed
    }

    /// Ended for a reason of their own in the meantime: closed by a side, failed, timed out.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// Cut when the grace was over, or because their runtime was shut down.
    #[must_use]
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Still there: their runtime is stuck.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.agreed + self.finished + self.cut + self.left
    }

    /// Whether none was cut and none is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.cut + self.left == 0
    }
}

impl fmt::Display for DrainSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agreed, finished, cut, left } = self;
        write!(f, "{agreed} agreed, {finished} finished, {cut} cut, {left} left")
    }
}
