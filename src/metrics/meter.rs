//! [`Meter`], the bytes and messages of one tunnel.

use std::sync::atomic::{AtomicU64, Ordering};

use ::metrics::counter;

use super::names;
use crate::tunnel::{
    Side, Sides,
    shared::{Count, Observer},
};

/// Traffic of a tunnel that is already in the counters.
///
/// It observes all traffic, but looks up the counters and adds to them only a second after the last time, or
/// after a MiB. A counter therefore lags by at most a second or a MiB of each open tunnel.
#[derive(Debug, Default)]
pub(super) struct Meter {
    recorded: Sides<Recorded>,
    /// Earliest age of the tunnel, in milliseconds, at which the counters are due again.
    due: AtomicU64,
}

#[derive(Debug, Default)]
struct Recorded {
    bytes: AtomicU64,
    messages: AtomicU64,
}

/// In milliseconds.
const PERIOD: u64 = 1000;
/// Bytes in one direction that are recorded before the period is over.
const BULK: u64 = 1 << 20;

impl Observer for Meter {
    fn on_progress(&self, age: u64, counts: Sides<Count>) {
        let is_bulk = |side: Side| {
            counts[side].bytes.saturating_sub(self.recorded[side].bytes.load(Ordering::Relaxed)) >= BULK
        };
        if age >= self.due.load(Ordering::Relaxed) || Side::BOTH.into_iter().any(is_bulk) {
            self.due.store(age.saturating_add(PERIOD), Ordering::Relaxed);
            self.record(counts);
        }
    }

    fn on_invalid_framing(&self, side: Side) {
        counter!(names::INVALID_FRAMING, "side" => side.as_str()).increment(1);
    }
}

impl Meter {
    /// Adds the difference to the counters. Cold, as it runs at most once a second or once a MiB.
    #[cold]
    pub(super) fn record(&self, counts: Sides<Count>) {
        for side in Side::BOTH {
            let direction = match side {
                Side::Client => "client_to_upstream",
                Side::Upstream => "upstream_to_client",
            };
            if let Some(bytes) = gain(&self.recorded[side].bytes, counts[side].bytes) {
                counter!(names::BYTES, "direction" => direction).increment(bytes);
            }
            if let Some(messages) = gain(&self.recorded[side].messages, counts[side].messages) {
                counter!(names::MESSAGES, "direction" => direction).increment(messages);
            }
        }
    }
}

/// Raises `recorded` to `now`, and returns the difference.
fn gain(recorded: &AtomicU64, now: u64) -> Option<u64> {
    let before = recorded.fetch_max(now, Ordering::Relaxed);
    now.checked_sub(before).filter(|gain| *gain > 0)
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn traffic_is_recorded_once_a_second_or_once_a_mebibyte() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _guard = ::metrics::set_default_local_recorder(&recorder);
        let handle = recorder.handle();
        let counted = |name: &str, direction: &str| {
            let sample = format!("tower_upgrade_proxy_{name}_total{{direction=\"{direction}\"}} ");
            let text = handle.render();
            text.lines()
                .find_map(|line| line.strip_prefix(sample.as_str()))
                .map_or(0, |value| value.parse().unwrap())
        };
        let meter = Meter::default();
        let mut messages = 0;
        // Age in milliseconds, bytes of both directions, expected counters.
        for (age, bytes, expected) in [
            (5, [10, 0], [10, 0]),
            (5, [20, 1], [10, 0]),
            (1004, [30, 2], [10, 0]),
            (1005, [40, 3], [40, 3]),
            (1006, [50, 4], [40, 3]),
            (1007, [39 + BULK, 4], [40, 3]),
            (1008, [40 + BULK, 5], [40 + BULK, 5]),
            (1009, [40 + BULK, 5 + BULK], [40 + BULK, 5 + BULK]),
            (5000, [41 + BULK, 6 + BULK], [41 + BULK, 6 + BULK]),
        ] {
            messages += 1;
            meter.on_progress(age, Sides::from_fn(|side| Count { bytes: bytes[side as usize], messages }));
            let both = ["client_to_upstream", "upstream_to_client"];
            assert_eq!(both.map(|direction| counted("bytes", direction)), expected, "{age} ms");
        }
        assert_eq!(counted("messages", "upstream_to_client"), messages);
        // At the end of the tunnel. A lower count changes nothing.
        let client = Count { bytes: 50 + BULK, messages };
        meter.record(Sides { client, upstream: Count::default() });
        assert_eq!(counted("bytes", "client_to_upstream"), 50 + BULK);
        assert_eq!(counted("bytes", "upstream_to_client"), 6 + BULK);
    }
}
