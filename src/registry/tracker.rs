//! Counting those who leave.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::drain_summary::{DrainSummary, Ended};

/// How long after the deadline the tunnels that were cut then may take to be gone.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Told of every end, on whichever thread.
#[derive(Clone)]
pub(crate) struct Tracker(Arc<watch::Sender<Progress>>);

/// Waits until all have ended.
pub(crate) struct Wait {
    progress: watch::Receiver<Progress>,
    deadline: Instant,
}

#[derive(Default)]
struct Progress {
    handshakes: usize,
    tunnels: usize,
    drained: DrainSummary,
}

impl Tracker {
    pub(super) fn new(handshakes: usize, deadline: Instant) -> (Self, Wait) {
        let (sender, progress) = watch::channel(Progress { handshakes, ..Progress::default() });
        (Self(Arc::new(sender)), Wait { progress, deadline })
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        !self.0.is_closed()
    }

    pub(crate) fn tunnel_opened(&self) {
        self.0.send_modify(|progress| progress.tunnels += 1);
    }

    pub(crate) fn tunnel_ended(&self, ended: Ended) {
        self.0.send_modify(|progress| {
            progress.tunnels = progress.tunnels.saturating_sub(1);
            progress.drained.count(ended);
        });
    }

    pub(crate) fn handshake_ended(&self) {
        self.0.send_modify(|progress| progress.handshakes = progress.handshakes.saturating_sub(1));
    }
}

impl Wait {
    pub(crate) async fn drained(mut self) -> DrainSummary {
        let ended = self.progress.wait_for(|progress| progress.tunnels + progress.handshakes == 0);
        // Who counts lives as long as there is something to count.
        let _ = timeout_at(self.deadline + AFTERMATH, ended).await;
        let progress = self.progress.borrow();
        progress.drained.with_remaining(progress.tunnels)
    }
}
