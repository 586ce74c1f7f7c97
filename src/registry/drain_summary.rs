//! [`DrainSummary`]: how it went.

use std::fmt;

use crate::tunnel::TunnelEnd;

/// How the tunnels of a drain have ended, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainSummary {
    closed: usize,
    finished: usize,
    aborted: usize,
    remaining: usize,
}

/// How one of them has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Closed,
    Finished,
    Aborted,
}

impl Ended {
    pub(crate) fn of(end: &TunnelEnd) -> Self {
        match end {
            TunnelEnd::Drained => Self::Closed,
            TunnelEnd::DrainTimeout => Self::Aborted,
            _ => Self::Finished,
        }
    }
}

impl DrainSummary {
    pub(super) fn count(&mut self, ended: Ended) {
        *match ended {
            Ended::Closed => &mut self.closed,
            Ended::Finished => &mut self.finished,
            Ended::Aborted => &mut self.aborted,
        } += 1;
    }

    pub(super) fn with_remaining(self, remaining: usize) -> Self {
        Self { remaining, ..self }
    }

    /// Ended as they were told to: both sides have answered.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.closed
    }

    /// Ended for a reason of their own in the meantime: closed by a side, failed, timed out.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// Aborted when the grace was over, or because their runtime was shut down.
    #[must_use]
    pub fn aborted(&self) -> usize {
        self.aborted
    }

    /// Still there: their runtime is stuck.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.closed + self.finished + self.aborted + self.remaining
    }

    /// Whether none was cut and none is left.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.aborted + self.remaining == 0
    }
}

impl fmt::Display for DrainSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, finished, aborted, remaining } = self;
        write!(f, "{closed} closed, {finished} finished, {aborted} aborted, {remaining} remaining")
    }
}
