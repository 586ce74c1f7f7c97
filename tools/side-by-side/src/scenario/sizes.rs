//! How much of everything.

use std::time::Duration;

/// The amount of work of each scenario.
#[derive(Debug, Clone)]
pub(crate) struct Sizes {
    /// `idle` and its kin.
    pub(crate) tunnels: usize,
    /// Those that an upstream allows on an HTTP/2 connection.
    pub(crate) streams: u32,
    /// `stalled`.
    pub(crate) stalled: usize,
    /// How long messages and requests are counted.
    pub(crate) counted: Duration,
    /// How long they go before that, uncounted.
    pub(crate) warm_up: Duration,
    /// How long nothing happens where nothing shall happen.
    pub(crate) silence: Duration,
    /// Between two looks at memory that shall not change any more.
    pub(crate) settle: Duration,
    /// `bulk`, bytes; `bulk-up` is half of it.
    pub(crate) bulk: u64,
    /// `connect`, cycles.
    pub(crate) cycles: usize,
    /// What a measurement may take in all.
    pub(crate) limit: Duration,
}

impl Sizes {
    /// Figures worth publishing.
    pub(crate) fn full(tunnels: usize) -> Self {
        Self {
            tunnels,
            streams: 1000,
            stalled: 1000,
            counted: Duration::from_secs(3),
            warm_up: Duration::from_millis(500),
            silence: Duration::from_secs(5),
            settle: Duration::from_millis(500),
            bulk: 2 << 30,
            cycles: 20_000,
            limit: Duration::from_secs(180),
        }
    }

    /// Enough to see that it works.
    pub(crate) fn quick() -> Self {
        Self {
            tunnels: 100,
            streams: 40,
            stalled: 20,
            counted: Duration::from_millis(200),
            warm_up: Duration::from_millis(50),
            silence: Duration::from_millis(500),
            settle: Duration::from_millis(100),
            bulk: 64 << 20,
            cycles: 300,
            limit: Duration::from_secs(60),
        }
    }
}
