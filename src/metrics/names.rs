//! Names and descriptions of the metrics.

use std::{
    ptr::from_ref,
    sync::atomic::{AtomicUsize, Ordering},
};

use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram, with_recorder};

pub(super) const REFUSED: &str = "tower_upgrade_proxy_refused_total";
pub(super) const REPEATED: &str = "tower_upgrade_proxy_repeated_total";
pub(super) const FAILED_OVER: &str = "tower_upgrade_proxy_failed_over_total";
pub(super) const EJECTED: &str = "tower_upgrade_proxy_ejected_total";
pub(super) const HANDSHAKE: &str = "tower_upgrade_proxy_handshake_seconds";
pub(super) const OPENED: &str = "tower_upgrade_proxy_tunnels_opened_total";
pub(super) const ACTIVE: &str = "tower_upgrade_proxy_tunnels_active";
pub(super) const ENDED: &str = "tower_upgrade_proxy_tunnels_ended_total";
pub(super) const TOLD: &str = "tower_upgrade_proxy_told_total";
pub(super) const DURATION: &str = "tower_upgrade_proxy_tunnel_seconds";
pub(super) const BYTES: &str = "tower_upgrade_proxy_bytes_total";
pub(super) const MESSAGES: &str = "tower_upgrade_proxy_messages_total";
pub(super) const INVALID_FRAMING: &str = "tower_upgrade_proxy_invalid_framing_total";

/// Describes all metrics to a recorder that was installed since the last call.
pub(super) fn describe_once() {
    static DESCRIBED: AtomicUsize = AtomicUsize::new(0);
    let recorder = with_recorder(|recorder| from_ref(recorder).cast::<()>().addr());
    if DESCRIBED.load(Ordering::Relaxed) != recorder {
        DESCRIBED.store(recorder, Ordering::Relaxed);
        describe();
    }
}

fn describe() {
    describe_counter!(REFUSED, Unit::Count, "Requests that got a failure response of the proxy itself");
    describe_counter!(
        REPEATED,
        Unit::Count,
        "Requests sent again because the upstream closed a reused connection"
    );
    describe_counter!(
        FAILED_OVER,
        Unit::Count,
        "Requests sent to another endpoint of their pool because one could not be reached"
    );
    describe_counter!(EJECTED, Unit::Count, "Ejections of endpoints that failed");
    describe_histogram!(
        HANDSHAKE,
        Unit::Seconds,
        "Time from an upgrade request to the response to the client"
    );
    describe_counter!(OPENED, Unit::Count, "Opened tunnels");
    describe_gauge!(ACTIVE, Unit::Count, "Open tunnels");
    describe_counter!(ENDED, Unit::Count, "Ended tunnels, by who ended them and why");
    describe_counter!(TOLD, Unit::Count, "Sides of ended WebSockets, by what they were told at the end");
    describe_histogram!(DURATION, Unit::Seconds, "Duration of ended tunnels");
    describe_counter!(BYTES, Unit::Bytes, "Bytes carried by tunnels, without handshakes");
    describe_counter!(MESSAGES, Unit::Count, "Complete messages received by WebSocket tunnels");
    describe_counter!(
        INVALID_FRAMING,
        Unit::Count,
        "WebSockets with invalid framing that was forwarded, by the side that sent it first"
    );
}
