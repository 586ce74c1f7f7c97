//! Counters, gauges and histograms of the feature `metrics`. Without the feature, the same items do nothing.
//!
//! A recorder may be installed at any time. Therefore no handle to a metric outlives the events that it counts:
//! handles of rare events are looked up for each event, those of bytes and messages at most once a second or once
//! a MiB ([`meter`]), and a tunnel keeps the gauge that it has incremented, to decrement the same.
//!
//! No label has a value that a client sent. `docs/observability.md` lists the metrics.
#![cfg_attr(not(feature = "metrics"), allow(unused))]

mod handshake;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(feature = "metrics")]
mod names;
mod tunnel;

use crate::error::Error;
pub(crate) use handshake::{HandshakeTimer, Outcome};
pub(crate) use tunnel::TunnelMetrics;

/// Counts a request that is sent again, after it was sent on a connection that the upstream closed.
pub(crate) fn repeated() {
    #[cfg(feature = "metrics")]
    {
        names::describe_once();
        ::metrics::counter!(names::REPEATED).increment(1);
    }
}

/// Counts a request that goes to another endpoint of its pool.
pub(crate) fn failed_over(pool: &str) {
    #[cfg(feature = "metrics")]
    {
        names::describe_once();
        ::metrics::counter!(names::FAILED_OVER, "pool" => pool.to_owned()).increment(1);
    }
}

/// Counts an ejection of an endpoint.
pub(crate) fn ejected(pool: &str) {
    #[cfg(feature = "metrics")]
    {
        names::describe_once();
        ::metrics::counter!(names::EJECTED, "pool" => pool.to_owned()).increment(1);
    }
}

/// Counts a request that gets a failure response of the proxy itself.
pub(crate) fn refused(error: &Error) {
    #[cfg(feature = "metrics")]
    {
        names::describe_once();
        ::metrics::counter!(names::REFUSED, "reason" => error.reason()).increment(1);
    }
}
