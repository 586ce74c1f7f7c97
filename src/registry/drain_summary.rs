//! [`DrainSummary`], the result of a drain.

use std::fmt;

use crate::tunnel::TunnelEnd;

/// Counts of the tunnels of a drain, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainSummary {
    closed: usize,
    finished: usize,
    aborted: usize,
    remaining: usize,
}

/// Result of a drain for one tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Closed,
    Finished,
    Aborted,
}

impl From<&TunnelEnd> for Ended {
    fn from(end: &TunnelEnd) -> Self {
        match end {
            TunnelEnd::Drained => Self::Closed,
            TunnelEnd::DrainTimeout => Self::Aborted,
            _ => Self::Finished,
        }
    }
}

impl DrainSummary {
    /// Counts an open tunnel.
    pub(super) fn add(&mut self) {
        self.remaining += 1;
    }

    /// Counts the end of an open tunnel.
    pub(super) fn end(&mut self, ended: Ended) {
        self.remaining = self.remaining.saturating_sub(1);
        *match ended {
            Ended::Closed => &mut self.closed,
            Ended::Finished => &mut self.finished,
            Ended::Aborted => &mut self.aborted,
        } += 1;
    }

    /// Tunnels that both sides closed as requested.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.closed
    }

    /// Tunnels that ended for another reason during the drain: a side closed or failed, or a timeout expired.
    #[must_use]
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// Tunnels that were aborted when the grace was over, or because their runtime was shut down.
    #[must_use]
    pub fn aborted(&self) -> usize {
        self.aborted
    }

    /// Tunnels that are still open, because their runtime is stuck.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// All tunnels of the drain.
    #[must_use]
    pub fn total(&self) -> usize {
        self.closed + self.finished + self.aborted + self.remaining
    }

    /// Returns true if no tunnel was aborted and none remains.
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
