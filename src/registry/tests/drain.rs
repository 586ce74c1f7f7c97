use std::{collections::BTreeSet, future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::time::{Instant, timeout};

use super::FakeTunnel;
use crate::{
    registry::{Drain, DrainSummary},
    tunnel::TunnelEnd,
};

const GRACE: Duration = Duration::from_secs(10);

fn open(drain: &Drain, number: usize) -> Vec<FakeTunnel> {
    (0..number).map(|_| FakeTunnel::admitted(drain.watcher().begin_handshake())).collect()
}

/// Polls `future` once, without time passing. Returns true if it is ready.
async fn is_ready<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn every_tunnel_is_notified_within_the_jitter_and_no_handshake_is_admitted_any_more() {
    let drain = Drain::new().jitter(Duration::from_secs(2));
    let (tunnels, start) = (open(&drain, 50), Instant::now());
    assert!(!drain.watcher().is_draining());
    drop(drain.shutdown(GRACE));
    let requests: Vec<_> =
        tunnels.iter().map(|tunnel| tunnel.shutdown_request().expect("a request")).collect();
    let window = start..=start + Duration::from_secs(2);
    assert!(requests.iter().all(|request| window.contains(&request.at) && request.deadline == start + GRACE));
    assert!(requests.iter().all(|request| request.close.is_none()));
    assert!(requests.iter().map(|request| request.at).collect::<BTreeSet<_>>().len() > 40, "spread");
    assert!(drain.watcher().is_draining() && drain.watcher().begin_handshake().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_ready_when_all_tunnels_have_ended_and_counts_their_ends() {
    let drain = Drain::new();
    let mut tunnels = open(&drain, 7);
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
        tunnels.pop().unwrap().end(&end);
        assert!(!is_ready(&mut drained).await, "one is still open");
    }
    assert_eq!(drain.active(), 1);
    drop(tunnels); // as a runtime does when it shuts down
    let drained = drained.await;
    assert_eq!((drained.closed(), drained.finished(), drained.aborted(), drained.remaining()), (3, 2, 2, 0));
    assert_eq!((drained.total(), drained.is_clean()), (7, false));
    assert_eq!(start, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_ready_soon_after_the_grace_if_tunnels_are_stuck() {
    let drain = Drain::new();
    let mut stuck = open(&drain, 2);
    let start = Instant::now();
    let drained = drain.shutdown(GRACE);
    stuck.remove(0).end(&TunnelEnd::Drained);
    let drained = timeout(2 * GRACE, drained).await.expect("an end");
    assert_eq!((drained.closed(), drained.remaining(), drained.is_clean()), (1, 1, false));
    assert!((GRACE..GRACE + Duration::from_secs(1)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_in_flight_is_waited_for_and_its_tunnel_is_notified() {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let (failing, succeeding) = (watcher.begin_handshake(), watcher.begin_handshake());
    let start = Instant::now();
    let mut drained = pin!(drain.shutdown(GRACE));
    assert!(!is_ready(&mut drained).await);
    drop(failing);
    let late = FakeTunnel::admitted(succeeding);
    assert!(!is_ready(&mut drained).await);
    assert_eq!(
        late.shutdown_request().map(|request| (request.at, request.deadline)),
        Some((start, start + GRACE))
    );
    late.end(&TunnelEnd::Drained);
    assert_eq!(drained.await.closed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_without_tunnels_is_ready_immediately() {
    let (drain, start) = (Drain::new(), Instant::now());
    drop(open(&drain, 3));
    assert_eq!((drain.shutdown(GRACE).await, start), (DrainSummary::default(), Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_second_call_shortens_the_time_but_does_not_prolong_it() {
    let drain = Drain::new().jitter(Duration::ZERO);
    let (tunnels, start) = (open(&drain, 2), Instant::now());
    let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
    let mut all = vec![Box::pin(drain.shutdown(GRACE))];
    for (grace, expected) in [(GRACE / 2, GRACE / 2), (GRACE * 2, GRACE / 2)] {
        all.push(Box::pin(drain.clone().shutdown(grace)));
        // A request can be taken once; until then all three are merged into one.
        assert!(tunnels.iter().all(|tunnel| {
            let request = tunnel.shutdown_request().unwrap();
            let deadline = request.deadline;
            tunnel.shared().request_shutdown(request);
            deadline == start + expected
        }));
    }
    for late in handshakes.map(FakeTunnel::admitted) {
        assert_eq!(late.shutdown_request().map(|request| request.deadline), Some(start + GRACE / 2));
        late.end(&TunnelEnd::UpgradeFailed);
    }
    for tunnel in tunnels {
        tunnel.end(&TunnelEnd::DrainTimeout);
    }
    for drained in all {
        let drained = drained.await;
        assert_eq!((drained.aborted(), drained.finished()), (2, 2), "each counts all");
    }
}

#[tokio::test(start_paused = true)]
async fn every_watcher_is_notified_once() {
    let drain = Drain::new();
    let mut early = Box::pin(drain.watcher().draining());
    assert!(!is_ready(&mut early).await);
    drop(drain.clone().shutdown(Duration::ZERO));
    assert!(is_ready(&mut early).await);
    assert!(is_ready(&mut Box::pin(drain.watcher().draining())).await);

    let never = Drain::new().watcher().draining();
    assert!(timeout(Duration::from_secs(3600), never).await.is_err(), "the drain was dropped");
}

#[test]
fn a_drain_can_begin_on_any_thread() {
    let drain = Drain::new();
    let tunnels = open(&drain, 2);
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
    for tunnel in tunnels {
        tunnel.end(&TunnelEnd::Drained);
    }
    assert_eq!(waiting.join().unwrap().closed(), 2);
}
