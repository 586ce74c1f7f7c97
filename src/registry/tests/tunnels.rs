use std::time::Duration;

use tokio::time::{Instant, advance};

use super::{FakeTunnel, Registration};
use crate::{
    registry::{Drain, DrainConfig, DrainSummary, Tunnels},
    tunnel::{CloseCode, CloseFrame, TunnelEnd, TunnelState},
};

fn ids(tunnels: &Tunnels) -> Vec<u64> {
    tunnels.list().iter().map(|tunnel| tunnel.info().id()).collect()
}

#[test]
fn without_registry_and_drain_there_is_no_registration() {
    assert!(Registration::new(&super::info(""), [None; 2], None).is_none());
}

#[tokio::test(start_paused = true)]
async fn open_tunnels_are_listed_by_id_until_they_end_or_are_dropped() {
    let tunnels = Tunnels::new();
    assert!(tunnels.is_empty());
    let [a, b, c] = ["a", "b", "c"].map(|label| FakeTunnel::listed(label, &tunnels));
    let clone = tunnels.clone();
    assert_eq!(ids(&clone), [&a, &b, &c].map(|tunnel| tunnel.info.id()));
    advance(Duration::from_secs(3)).await;
    let status = tunnels.get(b.info.id()).unwrap();
    assert_eq!((status.info().label(), status.state()), (Some("b"), TunnelState::Opening));
    assert_eq!((status.age(), status.idle()), (Duration::from_secs(3), Duration::from_secs(3)));

    let id = b.info.id();
    b.end(&TunnelEnd::IdleTimeout);
    assert!(tunnels.get(id).is_none());
    drop(a);
    assert_eq!((ids(&tunnels), tunnels.len()), (vec![c.info.id()], 1));
    drop(c);
    assert!(clone.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_notifies_the_selected_tunnels_and_no_later_ones() {
    let tunnels = Tunnels::new();
    let [first, bob, second] = ["eve", "bob", "eve"].map(|label| FakeTunnel::listed(label, &tunnels));
    let close = CloseFrame::new(CloseCode::POLICY_VIOLATION).with_reason("revoked");
    let config = DrainConfig::new().close(close.clone()).grace(Duration::from_secs(7)).jitter(Duration::ZERO);
    let drained = tunnels.drain(|tunnel| tunnel.label() == Some("eve"), config);
    let late = FakeTunnel::listed("eve", &tunnels);
    for tunnel in [&first, &second] {
        let request = tunnel.shutdown_request().expect("a request, sent by the call itself");
        assert_eq!((request.at, request.deadline), (Instant::now(), Instant::now() + Duration::from_secs(7)));
        assert_eq!(request.close.as_ref(), Some(&close));
    }
    assert!(bob.shutdown_request().is_none() && late.shutdown_request().is_none());
    first.end(&TunnelEnd::Drained);
    second.end(&TunnelEnd::DrainTimeout);
    let drained = drained.await;
    assert_eq!((drained.closed(), drained.aborted(), drained.total()), (1, 1, 2));
    assert_eq!(ids(&tunnels), [bob.info.id(), late.info.id()]);
}

#[tokio::test(start_paused = true)]
async fn a_single_tunnel_is_notified_without_jitter() {
    let tunnels = Tunnels::new();
    let [one, other] = ["", ""].map(|label| FakeTunnel::listed(label, &tunnels));
    let config = DrainConfig::new().jitter(Duration::from_secs(10));
    let id = one.info.id();
    drop(tunnels.drain(|tunnel| tunnel.id() == id, config));
    assert_eq!(one.shutdown_request().map(|request| request.at), Some(Instant::now()));
    assert!(other.shutdown_request().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_no_tunnel_is_ready_immediately() {
    let (tunnels, start) = (Tunnels::new(), Instant::now());
    let _other = FakeTunnel::listed("", &tunnels);
    let drained = tunnels.drain(|_| false, DrainConfig::new()).await;
    assert_eq!((drained, start), (DrainSummary::default(), Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn two_drains_of_one_tunnel_both_count_it() {
    let tunnels = Tunnels::new();
    let tunnel = FakeTunnel::listed("", &tunnels);
    let both =
        [30, 10].map(|grace| tunnels.drain(|_| true, DrainConfig::new().grace(Duration::from_secs(grace))));
    assert_eq!(
        tunnel.shutdown_request().map(|request| request.deadline),
        Some(Instant::now() + Duration::from_secs(10))
    );
    tunnel.end(&TunnelEnd::IdleTimeout);
    for drained in both {
        assert_eq!(drained.await.finished(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_counts_once_whether_its_layer_has_one_registry_or_two() {
    let (separate, drain) = (Tunnels::new(), Drain::new());
    let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
    let drained = drain.shutdown(Duration::from_secs(10));
    for (tunnels, handshake) in [&separate, drain.tunnels()].into_iter().zip(handshakes) {
        let tunnel = FakeTunnel::new("", Some(tunnels), handshake);
        assert_eq!((tunnels.len(), drain.active()), (1, 1));
        assert!(tunnel.shutdown_request().is_some());
        tunnel.end(&TunnelEnd::Drained);
        assert_eq!((tunnels.len(), drain.active()), (0, 0));
    }
    let drained = drained.await;
    assert_eq!((drained.closed(), drained.total()), (2, 2), "{drained}");
}
