//! Bytes and messages, while they go through.

use std::sync::atomic::{AtomicU64, Ordering};

use ::metrics::counter;

use super::{BYTES, INVALID, MESSAGES};
use crate::{tunnel::Side, tunnel::Sides, tunnel::shared::Count, tunnel::shared::Observer};

/// How far the traffic of a tunnel has been counted.
///
/// It is told of all that moves, and looks up and adds to the counters only when there is something to
/// add and a second has passed since it last did, or a MiB. So what a counter lacks of a tunnel that stands
/// is at most the one or the other.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    counted: Sides<Counted>,
    /// In milliseconds of the tunnel's age.
    due: AtomicU64,
}

#[derive(Debug, Default)]
struct Counted {
    bytes: AtomicU64,
    messages: AtomicU64,
}

const PERIOD: u64 = 1000;
const PIECE: u64 = 1 << 20;

impl Observer for Meter {
    fn on_progress(&self, age: u64, counts: Sides<Count>) {
        let much = |side: Side| {
            counts[side].bytes.saturating_sub(self.counted[side].bytes.load(Ordering::Relaxed)) >= PIECE
        };
        if age >= self.due.load(Ordering::Relaxed) || Side::BOTH.into_iter().any(much) {
            self.due.store(age.saturating_add(PERIOD), Ordering::Relaxed);
            self.count(counts);
        }
    }

    fn on_invalid_framing(&self, side: Side) {
        counter!(INVALID, "side" => side.as_str()).increment(1);
    }
}

impl Meter {
    /// Adds to the counters what they lack. Cold: once in a while.
    #[cold]
    pub(super) fn count(&self, counts: Sides<Count>) {
        for side in Side::BOTH {
            let direction = match side {
                Side::Client => "client_to_upstream",
                Side::Upstream => "upstream_to_client",
            };
            if let Some(bytes) = gain(&self.counted[side].bytes, counts[side].bytes) {
                counter!(BYTES, "direction" => direction).increment(bytes);
            }
            if let Some(messages) = gain(&self.counted[side].messages, counts[side].messages) {
                counter!(MESSAGES, "direction" => direction).increment(messages);
            }
        }
    }
}

/// What is new.
fn gain(counted: &AtomicU64, now: u64) -> Option<u64> {
    let before = counted.fetch_max(now, Ordering::Relaxed);
    now.checked_sub(before).filter(|gain| *gain > 0)
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn what_has_moved_is_counted_once_a_second_or_once_a_mebibyte() {
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
        // Milliseconds; bytes up and down; what the counters say then.
        for (age, bytes, expected) in [
            (5, [10, 0], [10, 0]),
            (5, [20, 1], [10, 0]),
            (1004, [30, 2], [10, 0]),
            (1005, [40, 3], [40, 3]),
            (1006, [50, 4], [40, 3]),
            (1007, [39 + PIECE, 4], [40, 3]),
            (1008, [40 + PIECE, 5], [40 + PIECE, 5]),
            (1009, [40 + PIECE, 5 + PIECE], [40 + PIECE, 5 + PIECE]),
            (5000, [41 + PIECE, 6 + PIECE], [41 + PIECE, 6 + PIECE]),
        ] {
            messages += 1;
            meter.on_progress(age, Sides::from_fn(|side| Count { bytes: bytes[side as usize], messages }));
            let both = ["client_to_upstream", "upstream_to_client"];
            assert_eq!(both.map(|direction| counted("bytes", direction)), expected, "{age} ms");
        }
        assert_eq!(counted("messages", "upstream_to_client"), messages);
        // At its end; a count that lags behind takes nothing away.
        let client = Count { bytes: 50 + PIECE, messages };
        meter.count(Sides { client, upstream: Count::default() });
        assert_eq!(counted("bytes", "client_to_upstream"), 50 + PIECE);
        assert_eq!(counted("bytes", "upstream_to_client"), 6 + PIECE);
    }
}
