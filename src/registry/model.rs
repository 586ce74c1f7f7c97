//! Models of the locking protocol.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use shuttle::{future::block_on, sync::Mutex, thread};
use tokio::time::Instant;

use super::{Drain, DrainConfig, DrainSummary, HandshakeGuard, Tunnels, tests::FakeTunnel};
use crate::{
    sync::model,
    tunnel::{
        TunnelEnd,
        shared::{Shared, ShutdownRequest},
    },
};

/// Waits for a shutdown request, as a tunnel's task does.
fn await_shutdown_request(shared: &Shared) -> ShutdownRequest {
    block_on(poll_fn(|cx| shared.poll_shutdown_request(cx).map_or(Poll::Pending, Poll::Ready)))
}

const GRACE: Duration = Duration::from_secs(10);

/// Results of the handshakes of a model.
#[derive(Default)]
struct Observed {
    /// True once `shutdown` has returned.
    has_begun: AtomicBool,
    opened: AtomicUsize,
    ended: AtomicUsize,
}

impl Observed {
    /// Opens a tunnel that ends on a shutdown request, and not before.
    fn tunnel(&self, guard: HandshakeGuard) {
        let tunnel = FakeTunnel::admitted(Some(guard));
        self.opened.fetch_add(1, Ordering::SeqCst);
        await_shutdown_request(tunnel.shared());
        self.ended.fetch_add(1, Ordering::SeqCst);
        tunnel.end(&TunnelEnd::Drained);
    }

    fn begin_handshake(&self, drain: &Drain) -> Option<HandshakeGuard> {
        let has_begun = self.has_begun.load(Ordering::SeqCst);
        let guard = drain.watcher().begin_handshake();
        assert!(!has_begun || guard.is_none(), "admitted after the drain began");
        guard
    }

    /// Asserts that `drained` counts all tunnels, and comes after the end of the last.
    fn assert_all_have_ended(&self, drain: &Drain, drained: DrainSummary) {
        assert_eq!(drain.active(), 0);
        let [opened, ended] = [&self.opened, &self.ended].map(|number| number.load(Ordering::SeqCst));
        assert_eq!((opened, drained.closed(), drained.total()), (ended, ended, ended));
        assert!(drain.watcher().begin_handshake().is_none());
    }
}

#[test]
fn admitted_tunnels_are_notified_and_waited_for_and_no_others() {
    model(|| {
        let (drain, observed) = (Drain::new(), Arc::<Observed>::default());
        let tunnels = (0..2).map(|_| {
            let (drain, observed) = (drain.clone(), Arc::clone(&observed));
            thread::spawn(move || observed.begin_handshake(&drain).map(|guard| observed.tunnel(guard)))
        });
        let tunnels: Vec<_> = tunnels.collect();
        let failing = {
            let (drain, observed) = (drain.clone(), Arc::clone(&observed));
            thread::spawn(move || drop(observed.begin_handshake(&drain)))
        };
        let draining = drain.watcher().draining();
        let server = thread::spawn(move || block_on(draining));

        let drained = drain.shutdown(GRACE);
        observed.has_begun.store(true, Ordering::SeqCst);
        observed.assert_all_have_ended(&drain, block_on(drained));
        for thread in tunnels {
            thread.join().unwrap();
        }
        failing.join().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn a_handshake_in_flight_is_waited_for() {
    model(|| {
        let (drain, observed) = (Drain::new(), Arc::<Observed>::default());
        let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
        let [failing, opening] = handshakes.map(Option::unwrap);
        let failing = thread::spawn(move || drop(failing));
        let opening = {
            let observed = Arc::clone(&observed);
            thread::spawn(move || observed.tunnel(opening))
        };
        let drained = block_on(drain.shutdown(GRACE));
        observed.assert_all_have_ended(&drain, drained);
        assert_eq!(drained.total(), 1);
        failing.join().unwrap();
        opening.join().unwrap();
    });
}

#[test]
fn two_concurrent_shutdowns_both_wait_for_the_last_tunnel() {
    model(|| {
        let (drain, observed) = (Drain::new(), Arc::<Observed>::default());
        let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
        let [first, second] = handshakes.map(Option::unwrap).map(|guard| {
            let observed = Arc::clone(&observed);
            thread::spawn(move || observed.tunnel(guard))
        });
        let other = {
            let drain = drain.clone();
            thread::spawn(move || block_on(drain.shutdown(GRACE)))
        };
        // Dropping the future of a call does not affect the other calls.
        drop(drain.shutdown(GRACE));
        let drained = block_on(drain.shutdown(GRACE));
        // Tunnels that the other call has notified may have ended before this one began.
        assert_eq!((drained.remaining(), drained.aborted(), drain.active()), (0, 0, 0));
        assert_eq!(observed.ended.load(Ordering::SeqCst), 2);
        assert!(other.join().unwrap().total() <= 2);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn no_shutdown_request_is_lost_and_all_are_merged_into_one() {
    model(|| {
        let shared = Arc::new(Shared::new());
        let start = Instant::now();
        let after = move |seconds| start + Duration::from_secs(seconds);
        let threads = [(10, 40), (20, 30), (15, 35)].map(|(at, deadline)| {
            let shared = Arc::clone(&shared);
            let (at, deadline) = (after(at), after(deadline));
            thread::spawn(move || shared.request_shutdown(ShutdownRequest { at, deadline, close: None }))
        });
        let mut known = await_shutdown_request(&shared);
        while (known.at, known.deadline) != (after(10), after(30)) {
            known = await_shutdown_request(&shared).merged(Some(known));
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn open_tunnels_are_listed_until_they_end() {
    model(|| {
        let tunnels = Tunnels::new();
        // Ids of the tunnels that have opened, and of those that have begun to end.
        let known = Arc::<Mutex<(BTreeSet<u64>, BTreeSet<u64>)>>::default();
        let threads = ["a", "b"].map(|label| {
            let (tunnels, known) = (tunnels.clone(), Arc::clone(&known));
            thread::spawn(move || {
                let tunnel = FakeTunnel::listed(label, &tunnels);
                let id = tunnel.info.id();
                known.lock().unwrap().0.insert(id);
                thread::yield_now();
                assert_eq!(tunnels.get(id).unwrap().info().label(), Some(label));
                known.lock().unwrap().1.insert(id);
                tunnel.end(&TunnelEnd::IdleTimeout);
                assert!(tunnels.get(id).is_none());
            })
        });
        for _ in 0..3 {
            let opened = known.lock().unwrap().0.clone();
            let listed: BTreeSet<_> = tunnels.list().iter().map(|tunnel| tunnel.info().id()).collect();
            let ending = &known.lock().unwrap().1;
            assert!(opened.difference(&listed).all(|id| ending.contains(id)), "one is missing");
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(tunnels.is_empty());
    });
}

#[test]
fn selected_tunnels_are_notified_and_waited_for_unless_they_have_ended() {
    model(|| {
        let tunnels = Tunnels::new();
        let [first, second, other] = ["eve", "eve", "bob"].map(|label| FakeTunnel::listed(label, &tunnels));
        let by_itself = thread::spawn(move || first.end(&TunnelEnd::IdleTimeout));
        let as_requested = thread::spawn(move || {
            await_shutdown_request(second.shared());
            second.end(&TunnelEnd::Drained);
        });
        let config = DrainConfig::new().grace(Duration::from_secs(1));
        let drained = block_on(tunnels.drain(|tunnel| tunnel.label() == Some("eve"), config));
        assert_eq!((drained.closed(), drained.aborted(), drained.remaining()), (1, 0, 0));
        assert!(drained.finished() <= 1);
        assert_eq!(
            tunnels.list().iter().map(|tunnel| tunnel.info().id()).collect::<Vec<_>>(),
            [other.info.id()]
        );
        assert!(other.shutdown_request().is_none());
        by_itself.join().unwrap();
        as_requested.join().unwrap();
    });
}
