//! Amounts of work.

use std::time::Duration;

/// Amount of work of each scenario, and durations.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// Tunnels of `idle`, `idle-h2` and `idle-h2-upstream`.
    pub(crate) tunnels: usize,
    /// Concurrent streams that the upstream allows on an HTTP/2 connection.
    pub(crate) streams: u32,
    /// Tunnels of `stalled`.
    pub(crate) stalled: usize,
    /// Duration of the measurement of messages and requests.
    pub(crate) measure_time: Duration,
    /// Duration of the same work before the measurement.
    pub(crate) warm_up: Duration,
    /// Duration of the measurement of idle and stalled tunnels.
    pub(crate) idle_time: Duration,
    /// Interval between readings of memory until it is stable.
    pub(crate) sample_interval: Duration,
    /// Bytes of `bulk`; `bulk-up` transfers half as many.
    pub(crate) bulk: u64,
    /// Cycles of `connect`.
    pub(crate) cycles: usize,
    /// Maximum duration of a measurement.
    pub(crate) timeout: Duration,
}

impl Sizes {
    /// Sizes for meaningful figures.
    pub(crate) fn full(tunnels: usize) -> Self {
        Self {
            tunnels,
            streams: 1000,
            stalled: 1000,
            measure_time: Duration::from_secs(3),
            warm_up: Duration::from_millis(500),
            idle_time: Duration::from_secs(5),
            sample_interval: Duration::from_millis(500),
            bulk: 2 << 30,
            cycles: 20_000,
            timeout: Duration::from_secs(180),
        }
    }

    /// Sizes for a test of the program.
    pub(crate) fn quick() -> Self {
        Self {
            tunnels: 100,
            streams: 40,
            stalled: 20,
            measure_time: Duration::from_millis(200),
            warm_up: Duration::from_millis(50),
            idle_time: Duration::from_millis(500),
            sample_interval: Duration::from_millis(100),
            bulk: 64 << 20,
            cycles: 300,
            timeout: Duration::from_secs(60),
        }
    }
}
