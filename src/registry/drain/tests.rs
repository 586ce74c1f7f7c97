use std::{collections::BTreeSet, pin::pin, task::Poll};

use tokio::time::{Instant, timeout};

use super::*;
use crate::{
    registry::tunnels::tests::Dummy,
    registry::{HandshakeGuard, Registration},
    tunnel::TunnelEnd,
};

const GRACE: Duration = Duration::from_secs(10);

fn dummy(guard: Option<HandshakeGuard>) -> Dummy {
    assert!(guard.is_some(), "refused");
    Dummy::labelled("", |info| Registration::new(info, None, guard))
}

fn dummies(drain: &Drain, number: usize) -> Vec<Dummy> {
    (0..number).map(|_| dummy(drain.watcher().begin_handshake())).collect()
}

/// Whether it is ready without any time passing.
async fn is_ready<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn every_tunnel_is_told_within_the_jitter_and_none_is_admitted_any_more() {
    let drain = Drain::new().jitter(Duration::from_secs(2));
    let (dummies, start) = (dummies(&drain, 50), Instant::now());
    assert!(!drain.watcher().is_draining());
    drop(drain.shutdown(GRACE));
    let orders: Vec<_> = dummies.iter().map(|dummy| dummy.order().expect("an order")).collect();
    let window = start..=start + Duration::from_secs(2);
    assert!(orders.iter().all(|order| window.contains(&order.at) && order.deadline == start + GRACE));
    assert!(orders.iter().all(|order| order.close.code().get() == 1001));
    assert!(orders.iter().map(|order| order.at).collect::<BTreeSet<_>>().len() > 40, "spread");
    assert!(drain.watcher().is_draining() && drain.watcher().begin_handshake().is_none());
}

#[tokio::test(start_paused = true)]
async fn it_is_over_when_all_have_ended_and_counts_how() {
    let drain = Drain::new();
    let mut dummies = dummies(&drain, 7);
    let start = Instant::now();
    let mut drained = pin!(drain.shutdown(GRACE));
    for end in [
        TunnelEnd::Drained,
        TunnelEnd::Drained,
        TunnelEnd::Drained,
        TunnelEnd::DrainTimeout,
        TunnelEnd::IdleTimeout,
        TunnelEnd::UpgradeFailed,
    ] {
        dummies.pop().unwrap().end(&end);
        assert!(!is_ready(&mut drained).await, "one is left");
    }
    assert_eq!(drain.active(), 1);
    drop(dummies); // as with its runtime
    let drained = drained.await;
    assert_eq!((drained.closed(), drained.finished(), drained.aborted(), drained.remaining()), (3, 2, 2, 0));
    assert_eq!((drained.total(), drained.is_clean()), (7, false));
    assert_eq!(start, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn it_is_over_a_little_after_the_grace_though_tunnels_are_stuck() {
    let drain = Drain::new();
    let mut stuck = dummies(&drain, 2);
    let start = Instant::now();
    let drained = drain.shutdown(GRACE);
    stuck.remove(0).end(&TunnelEnd::Drained);
    let drained = timeout(2 * GRACE, drained).await.expect("an end");
    assert_eq!((drained.closed(), drained.remaining(), drained.is_clean()), (1, 1, false));
    assert!((GRACE..GRACE + Duration::from_secs(1)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_under_way_is_waited_for_and_its_tunnel_is_told() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let (failing, succeeding) = (watcher.begin_handshake(), watcher.begin_handshake());
    let start = Instant::now();
    let mut drained = pin!(drain.shutdown(GRACE));
    assert!(!is_ready(&mut drained).await);
    drop(failing);
    let late = dummy(succeeding);
    assert!(!is_ready(&mut drained).await);
    assert_eq!(late.order().map(|order| (order.at, order.deadline)), Some((start, start + GRACE)));
    late.end(&TunnelEnd::Drained);
    assert_eq!(drained.await.closed(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_tunnels_it_is_over_at_once() {
    let (drain, start) = (Drain::new(), Instant::now());
    drop(dummies(&drain, 3));
    assert_eq!((drain.shutdown(GRACE).await, start), (DrainSummary::default(), Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_second_call_shortens_the_time_but_does_not_prolong_it() {
    let drain = Drain::new().jitter(Duration::ZERO);
    let (dummies, start) = (dummies(&drain, 2), Instant::now());
    let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
    let mut all = vec![Box::pin(drain.shutdown(GRACE))];
    for (grace, expected) in [(GRACE / 2, GRACE / 2), (GRACE * 2, GRACE / 2)] {
        all.push(Box::pin(drain.clone().shutdown(grace)));
        // An order is taken once; all three are one until then.
        assert!(dummies.iter().all(|dummy| {
            let order = dummy.order().unwrap();
            let by = order.deadline;
            dummy.registration.live().unwrap().request_shutdown(order);
            by == start + expected
        }));
    }
    for late in handshakes.map(dummy) {
        assert_eq!(late.order().map(|order| order.deadline), Some(start + GRACE / 2));
        late.end(&TunnelEnd::UpgradeFailed);
    }
    for dummy in dummies {
        dummy.end(&TunnelEnd::DrainTimeout);
    }
    for drained in all {
        let drained = drained.await;
        assert_eq!((drained.aborted(), drained.finished()), (2, 2), "each counts all");
    }
}

#[tokio::test(start_paused = true)]
async fn who_watches_learns_of_it_once() {
    let drain = Drain::new();
    let mut early = Box::pin(drain.watcher().draining());
    assert!(!is_ready(&mut early).await);
    drop(drain.clone().shutdown(Duration::ZERO));
    assert!(is_ready(&mut early).await);
    assert!(is_ready(&mut Box::pin(drain.watcher().draining())).await);

    let never = Drain::new().watcher().draining();
    assert!(timeout(Duration::from_secs(3600), never).await.is_err(), "no drain any more");
}

#[test]
fn it_is_begun_from_any_thread() {
    let drain = Drain::new();
    let dummies = dummies(&drain, 2);
    let waiting = {
        let drain = drain.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let drained = drain.shutdown(GRACE);
            runtime.block_on(drained)
        })
    };
    while !drain.watcher().is_draining() {
        std::thread::yield_now();
    }
    for dummy in dummies {
        dummy.end(&TunnelEnd::Drained);
    }
    assert_eq!(waiting.join().unwrap().closed(), 2);
}
