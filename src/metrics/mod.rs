//! What is counted for the feature `metrics`; `metrics_absent.rs` stands here without it.
//!
//! No handle outlives what it counts, as a recorder may be installed at any time: those of rare events are
//! looked up when they happen, [`Meter`] says when those of bytes are, and the gauge is the tunnel's own.
//! No label carries what a client sent.

mod handshake;
mod meter;
mod tunnel;

use std::{
    ptr::from_ref,
    sync::atomic::{AtomicUsize, Ordering},
};

use ::metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, with_recorder};

use crate::error::Error;
pub(crate) use handshake::{Handshake, Outcome};
pub(crate) use meter::Meter;
pub(crate) use tunnel::Tunnel;

const REFUSED: &str = "tower_upgrade_proxy_refused_total";
const HANDSHAKE: &str = "tower_upgrade_proxy_handshake_seconds";
const OPENED: &str = "tower_upgrade_proxy_tunnels_opened_total";
const ACTIVE: &str = "tower_upgrade_proxy_tunnels_active";
const ENDED: &str = "tower_upgrade_proxy_tunnels_ended_total";
const LIFE: &str = "tower_upgrade_proxy_tunnel_seconds";
const BYTES: &str = "tower_upgrade_proxy_bytes_total";
const MESSAGES: &str = "tower_upgrade_proxy_messages_total";
const INVALID: &str = "tower_upgrade_proxy_invalid_framing_total";

/// A request ends with an answer of the proxy's own.
pub(crate) fn refused(error: &Error) {
    describe_once();
    counter!(REFUSED, "reason" => error.reason()).increment(1);
}

/// Describes everything to a recorder that was not there before.
fn describe_once() {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    let recorder = with_recorder(|recorder| from_ref(recorder).cast::<()>().addr());
    if KNOWN.load(Ordering::Relaxed) != recorder {
        KNOWN.store(recorder, Ordering::Relaxed);
        describe();
    }
}

fn describe() {
    describe_counter!(REFUSED, Unit::Count, "Requests that the proxy answered with a failure of its own");
    describe_histogram!(
        HANDSHAKE,
        Unit::Seconds,
        "From an upgrade request to the answer that the client is sent"
    );
    describe_counter!(OPENED, Unit::Count, "Tunnels opened");
    describe_gauge!(ACTIVE, Unit::Count, "Tunnels that stand now");
    describe_counter!(ENDED, Unit::Count, "Tunnels ended");
    describe_histogram!(LIFE, Unit::Seconds, "How long tunnels stood");
    describe_counter!(BYTES, Unit::Bytes, "Bytes carried by tunnels, handshakes not counted");
    describe_counter!(MESSAGES, Unit::Count, "Complete messages carried by WebSocket tunnels");
    describe_counter!(
        INVALID,
        Unit::Count,
        "Sides of WebSocket tunnels that sent invalid framing, which went through"
    );
}
