//! [`TunnelMetrics`], the metrics of one tunnel.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::time::Duration;

#[cfg(feature = "metrics")]
use ::metrics::{Gauge, counter, gauge, histogram};

#[cfg(feature = "metrics")]
use super::{meter::Meter, names};
#[cfg(feature = "metrics")]
use crate::tunnel::{Side, Sides, shared::Count};
use crate::tunnel::{TunnelSummary, shared::Shared};

/// Metrics of an open tunnel. Dropped before [`end`](Self::end), the tunnel counts as aborted: its task was
/// dropped, or has panicked.
pub(crate) struct TunnelMetrics {
    #[cfg(feature = "metrics")]
    open: OpenTunnel,
}

impl TunnelMetrics {
    /// Counts a tunnel at its verified 101, and observes its traffic through `shared`, which is created if
    /// nothing else needs it.
    pub(crate) fn open(shared: &mut Option<Arc<Shared>>) -> Self {
        Self {
            #[cfg(feature = "metrics")]
            open: OpenTunnel::new(Arc::clone(shared.get_or_insert_with(|| Arc::new(Shared::new())))),
        }
    }

    pub(crate) fn end(mut self, summary: &TunnelSummary) {
        #[cfg(feature = "metrics")]
        {
            self.open.has_ended = true;
            let end = summary.end();
            let initiator = end.initiator().as_str();
            self.open.record_end(initiator, end.reason(), summary.duration(), summary.counts());
            for side in Side::BOTH {
                if let Some(told) = summary.told(side) {
                    counter!(names::TOLD, "side" => side.as_str(), "told" => told.kind()).increment(1);
                }
            }
        }
    }
}

#[cfg(feature = "metrics")]
struct OpenTunnel {
    /// The gauge that was incremented, even if another recorder was installed since.
    active: Gauge,
    shared: Arc<Shared>,
    meter: Arc<Meter>,
    has_ended: bool,
}

#[cfg(feature = "metrics")]
impl OpenTunnel {
    fn new(shared: Arc<Shared>) -> Self {
        counter!(names::OPENED).increment(1);
        let active = gauge!(names::ACTIVE);
        active.increment(1);
        let meter = Arc::<Meter>::default();
        shared.set_observer(Arc::clone(&meter) as _);
        Self { active, shared, meter, has_ended: false }
    }

    fn record_end(
        &self,
        initiator: &'static str,
        reason: &'static str,
        duration: Duration,
        counts: Sides<Count>,
    ) {
        self.active.decrement(1);
        self.meter.record(counts);
        counter!(names::ENDED, "initiator" => initiator, "reason" => reason).increment(1);
        histogram!(names::DURATION).record(duration);
    }
}

#[cfg(feature = "metrics")]
impl Drop for OpenTunnel {
    fn drop(&mut self) {
        if !self.has_ended {
            self.record_end("proxy", "aborted", self.shared.age(), self.shared.counts());
        }
    }
}
