use std::{
    task::{Context, Waker},
    time::Duration,
};

use http::HeaderValue;
use tokio::time::{Instant, advance};

use super::*;
use crate::{
    on_tunnel::TunnelLabel, registry::Registration, tunnel::CloseCode, tunnel::CloseFrame, tunnel::TunnelEnd,
    tunnel::TunnelState, tunnel::shared::ShutdownRequest,
};

/// A tunnel without a tunnel.
pub(crate) struct Dummy {
    pub(crate) info: TunnelInfo,
    pub(crate) registration: Registration,
}

impl Dummy {
    pub(crate) fn labelled(label: &str, open: impl FnOnce(&TunnelInfo) -> Registration) -> Self {
        let (uri, upstream) = ("/path?query".parse().unwrap(), "http://a.example".parse().unwrap());
        let (label, protocol) = (Some(TunnelLabel::new(label)), HeaderValue::from_static("websocket"));
        let info = TunnelInfo::new(None, &uri, label, upstream, protocol);
        Self { registration: open(&info), info }
    }

    fn new(label: &str, tunnels: &Tunnels) -> Self {
        Self::labelled(label, |info| Registration::new(info, Some(tunnels), None))
    }

    /// What it was told, as its task would see it.
    pub(crate) fn order(&self) -> Option<ShutdownRequest> {
        self.registration.live().unwrap().poll_shutdown_request(&mut Context::from_waker(Waker::noop()))
    }

    pub(crate) fn end(self, end: &TunnelEnd) {
        self.registration.end(end);
    }
}

fn ids(tunnels: &Tunnels) -> Vec<u64> {
    tunnels.list().iter().map(|tunnel| tunnel.info().id()).collect()
}

#[test]
fn without_registry_and_drain_nothing_is_kept() {
    let dummy = Dummy::labelled("", |info| Registration::new(info, None, None));
    assert!(dummy.registration.live().is_none());
}

#[tokio::test(start_paused = true)]
async fn tunnels_are_listed_by_id_until_they_end_or_are_dropped() {
    let tunnels = Tunnels::new();
    assert!(tunnels.is_empty());
    let [a, b, c] = ["a", "b", "c"].map(|label| Dummy::new(label, &tunnels));
    let clone = tunnels.clone();
    assert_eq!(ids(&clone), [&a, &b, &c].map(|dummy| dummy.info.id()));
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
async fn a_drain_tells_whom_the_filter_chose_and_nobody_who_comes_later() {
    let tunnels = Tunnels::new();
    let dummies = ["eve", "bob", "eve"].map(|label| Dummy::new(label, &tunnels));
    let close = CloseFrame::new(CloseCode::POLICY_VIOLATION).with_reason("revoked");
    let config = DrainConfig::new().close(close.clone()).grace(Duration::from_secs(7)).jitter(Duration::ZERO);
    let drained = tunnels.drain(|tunnel| tunnel.label() == Some("eve"), config);
    let late = Dummy::new("eve", &tunnels);

    let [first, bob, second] = dummies;
    for dummy in [&first, &second] {
        let order = dummy.order().expect("it was told by the call itself");
        assert_eq!((order.at, order.deadline), (Instant::now(), Instant::now() + Duration::from_secs(7)));
        assert_eq!(order.close, close);
    }
    assert!(bob.order().is_none() && late.order().is_none());
    first.end(&TunnelEnd::Drained);
    second.end(&TunnelEnd::DrainTimeout);
    let drained = drained.await;
    assert_eq!((drained.closed(), drained.aborted(), drained.total()), (1, 1, 2));
    assert_eq!(ids(&tunnels), [bob.info.id(), late.info.id()]);
}

#[tokio::test(start_paused = true)]
async fn one_tunnel_that_is_drained_alone_is_told_at_once() {
    let tunnels = Tunnels::new();
    let [one, other] = ["", ""].map(|label| Dummy::new(label, &tunnels));
    let config = DrainConfig::new().jitter(Duration::from_secs(10));
    let id = one.info.id();
    drop(tunnels.drain(|tunnel| tunnel.id() == id, config));
    assert_eq!(one.order().map(|order| order.at), Some(Instant::now()));
    assert!(other.order().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_of_nobody_is_over_at_once() {
    let (tunnels, start) = (Tunnels::new(), Instant::now());
    let _other = Dummy::new("", &tunnels);
    let drained = tunnels.drain(|_| false, DrainConfig::new()).await;
    assert_eq!((drained, start), (DrainSummary::default(), Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn two_drains_of_one_tunnel_both_count_it() {
    let tunnels = Tunnels::new();
    let dummy = Dummy::new("", &tunnels);
    let both =
        [30, 10].map(|grace| tunnels.drain(|_| true, DrainConfig::new().grace(Duration::from_secs(grace))));
    assert_eq!(dummy.order().map(|order| order.deadline), Some(Instant::now() + Duration::from_secs(10)));
    dummy.end(&TunnelEnd::IdleTimeout);
    for drained in both {
        assert_eq!(drained.await.finished(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_one_tunnel_in_two_registries_or_in_one_twice() {
    let (separate, drain) = (Tunnels::new(), crate::registry::Drain::new());
    let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
    let drained = drain.shutdown(Duration::from_secs(10));
    for (tunnels, guard) in [&separate, drain.tunnels()].into_iter().zip(handshakes) {
        let dummy = Dummy::labelled("", |info| Registration::new(info, Some(tunnels), guard));
        assert_eq!((tunnels.len(), drain.active()), (1, 1));
        assert!(dummy.order().is_some());
        dummy.end(&TunnelEnd::Drained);
        assert_eq!((tunnels.len(), drain.active()), (0, 0));
    }
    let drained = drained.await;
    assert_eq!((drained.closed(), drained.total()), (2, 2), "{drained}");
}
