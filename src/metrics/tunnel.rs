//! Tunnels that open and end.

use std::{sync::Arc, time::Duration};

use ::metrics::{Gauge, counter, gauge, histogram};

use super::{ACTIVE, ENDED, LIFE, Meter, OPENED};
use crate::{tunnel::Sides, tunnel::TunnelSummary, tunnel::shared::Count, tunnel::shared::Shared};

/// One of the tunnels that stand now. Dropped without an end, its task was dropped, or has panicked.
pub(crate) struct Tunnel {
    /// The one that was incremented, even if there is another recorder by now.
    active: Gauge,
    live: Arc<Shared>,
    meter: Arc<Meter>,
    has_ended: bool,
}

impl Tunnel {
    /// A 101 was verified. The tunnel is to be watched by way of `live`, for this if nothing else wants it.
    pub(crate) fn open(live: &mut Option<Arc<Shared>>) -> Self {
        counter!(OPENED).increment(1);
        let active = gauge!(ACTIVE);
        active.increment(1);
        let live = Arc::clone(live.get_or_insert_with(|| Arc::new(Shared::new())));
        let meter = Arc::<Meter>::default();
        live.set_observer(Arc::clone(&meter) as _);
        Self { active, live, meter, has_ended: false }
    }

    pub(crate) fn end(mut self, summary: &TunnelSummary) {
        self.has_ended = true;
        self.count(summary.end().reason(), summary.duration(), summary.counts());
    }

    fn count(&self, reason: &'static str, life: Duration, counts: Sides<Count>) {
        self.active.decrement(1);
        self.meter.count(counts);
        counter!(ENDED, "reason" => reason).increment(1);
        histogram!(LIFE).record(life);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if !self.has_ended {
            self.count("aborted", self.live.age(), self.live.counts());
        }
    }
}
