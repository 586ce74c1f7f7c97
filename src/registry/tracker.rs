//! [`Tracker`], the count of tunnels that a drain waits for.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::drain_summary::{DrainSummary, Ended};

/// Time after the deadline in which another of the aborted tunnels has to report its end.
const REPORT_TIME: Duration = Duration::from_millis(500);

/// Handle by which tunnels and handshakes report to a drain, from any thread.
#[derive(Clone)]
pub(super) struct Tracker(Arc<watch::Sender<Progress>>);

/// Progress of a drain. `summary.remaining` counts the open tunnels.
#[derive(Default)]
struct Progress {
    handshakes: usize,
    summary: DrainSummary,
}

impl Progress {
    /// Number of tunnels and handshakes that are waited for.
    fn open(&self) -> usize {
        self.summary.remaining() + self.handshakes
    }
}

impl Tracker {
    /// Returns the tracker of a drain, and the future that waits for everything it tracks.
    pub(super) fn new(
        handshakes: usize,
        deadline: Instant,
    ) -> (Self, impl Future<Output = DrainSummary> + Send + use<>) {
        let (sender, progress) = watch::channel(Progress { handshakes, ..Progress::default() });
        (Self(Arc::new(sender)), wait(progress, deadline))
    }

    /// Returns false once the drain's future is dropped or ready.
    pub(super) fn is_awaited(&self) -> bool {
        !self.0.is_closed()
    }

    pub(super) fn tunnel_opened(&self) {
        self.0.send_modify(|progress| progress.summary.add());
    }

    pub(super) fn tunnel_ended(&self, ended: Ended) {
        self.0.send_modify(|progress| progress.summary.end(ended));
    }

    pub(super) fn handshake_ended(&self) {
        self.0.send_modify(|progress| progress.handshakes = progress.handshakes.saturating_sub(1));
    }
}

/// Waits for the deadline, and then for as long as tunnels end: with many thousands of them it takes time to abort them all.
async fn wait(mut progress: watch::Receiver<Progress>, deadline: Instant) -> DrainSummary {
    let (mut open, mut until) = (usize::MAX, deadline);
    loop {
        // The channel is open while anything is still to be counted: each tunnel, and the registry for handshakes, has a
        // sender.
        let ended = progress.wait_for(|progress| progress.open() == 0);
        let has_ended = timeout_at(until, ended).await.is_ok();
        let before = open;
        open = progress.borrow().open();
        if has_ended || open >= before {
            // The tunnels not counted as ended remain.
            return progress.borrow().summary;
        }
        until = Instant::now() + REPORT_TIME;
    }
}
