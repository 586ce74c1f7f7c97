//! Sizes of the scenarios.

use std::time::Duration;

/// Descriptors of a process for everything but the tunnels.
const SPARE: usize = 200;

/// Numbers of clients, and times.
pub(super) struct Sizes {
    /// Clients of the ramp over HTTP/1.1.
    pub(super) ramp_http1: usize,
    /// Tunnels of the ramp over HTTP/2.
    pub(super) ramp_http2: usize,
    pub(super) idle: usize,
    pub(super) idle_timeout: Duration,
    pub(super) drain_http1: usize,
    /// Tunnels of the drain over HTTP/2.
    pub(super) drain_http2: usize,
    pub(super) grace: Duration,
    pub(super) reconnecting: usize,
    pub(super) outage: Duration,
    pub(super) half_heads: usize,
    pub(super) unread: usize,
    /// Clients that open and end tunnels or are refused, all the time.
    pub(super) repeating: usize,
    /// Local ports of the scenario without ports, and clients in addition to them.
    pub(super) local_ports: usize,
    pub(super) without_port: usize,
    /// Time of a measurement.
    pub(super) time: Duration,
    /// Limit of each wait.
    pub(super) limit: Duration,
}

impl Sizes {
    /// The most that the limit of descriptors allows; a tunnel over HTTP/1.1 takes two of the gateway's.
    pub(super) fn full(descriptors: usize) -> Self {
        let most = descriptors.saturating_sub(SPARE) / 2;
        Self {
            ramp_http1: most + SPARE,
            ramp_http2: 100_000,
            idle: most.min(9_500),
            idle_timeout: Duration::from_secs(10),
            drain_http1: most.min(5_000),
            drain_http2: 50_000,
            grace: Duration::from_secs(5),
            reconnecting: most.min(9_500),
            outage: Duration::from_secs(5),
            half_heads: most.min(9_500),
            unread: most.min(2_000),
            repeating: most.min(500),
            local_ports: descriptors.saturating_sub(2_000).min(18_000) / 100 * 100,
            without_port: 1_000,
            time: Duration::from_secs(3),
            limit: Duration::from_secs(50),
        }
    }

    /// A few hundred tunnels.
    pub(super) fn small() -> Self {
        Self {
            ramp_http1: 200,
            ramp_http2: 2_000,
            idle: 200,
            idle_timeout: Duration::from_secs(2),
            drain_http1: 100,
            drain_http2: 1_000,
            grace: Duration::from_secs(3),
            reconnecting: 100,
            outage: Duration::from_secs(1),
            half_heads: 200,
            unread: 50,
            repeating: 10,
            local_ports: 200,
            without_port: 100,
            time: Duration::from_millis(500),
            limit: Duration::from_secs(20),
        }
    }
}
