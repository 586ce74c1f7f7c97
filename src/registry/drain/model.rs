use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Poll,
};

use shuttle::{future::block_on, thread};

use super::*;
use crate::{
    registry::tunnels::tests::Dummy,
    registry::{HandshakeGuard, Registration},
    sync::model,
    tunnel::TunnelEnd,
};

const GRACE: Duration = Duration::from_secs(10);

/// What the handshakes of a model have come to.
#[derive(Default)]
struct Seen {
    /// `shutdown` has returned.
    begun: AtomicBool,
    opened: AtomicUsize,
    ended: AtomicUsize,
}

impl Seen {
    /// Opens a tunnel that ends when it is told to, and not before.
    fn tunnel(&self, guard: HandshakeGuard) {
        let dummy = Dummy::labelled("", |info| Registration::new(info, None, Some(guard)));
        self.opened.fetch_add(1, Ordering::SeqCst);
        let live = dummy.registration.live().unwrap();
        block_on(poll_fn(|cx| live.poll_shutdown_request(cx).map_or(Poll::Pending, Poll::Ready)));
        self.ended.fetch_add(1, Ordering::SeqCst);
        dummy.end(&TunnelEnd::Drained);
    }

    fn begin_handshake(&self, drain: &Drain) -> Option<HandshakeGuard> {
        let begun = self.begun.load(Ordering::SeqCst);
        let guard = drain.watcher().begin_handshake();
        assert!(!begun || guard.is_none(), "admitted after the drain began");
        guard
    }

    /// That `drained` tells of all of them, and comes when the last has ended.
    fn all_have_ended(&self, drain: &Drain, drained: DrainSummary) {
        assert_eq!(drain.active(), 0);
        let [opened, ended] = [&self.opened, &self.ended].map(|number| number.load(Ordering::SeqCst));
        assert_eq!((opened, drained.closed(), drained.total()), (ended, ended, ended));
        assert!(drain.watcher().begin_handshake().is_none());
    }
}

#[test]
fn who_was_admitted_is_told_and_waited_for_and_nobody_else_is() {
    model(|| {
        let (drain, seen) = (Drain::new(), Arc::<Seen>::default());
        let tunnels = (0..2).map(|_| {
            let (drain, seen) = (drain.clone(), Arc::clone(&seen));
            thread::spawn(move || seen.begin_handshake(&drain).map(|guard| seen.tunnel(guard)))
        });
        let tunnels: Vec<_> = tunnels.collect();
        let failing = {
            let (drain, seen) = (drain.clone(), Arc::clone(&seen));
            thread::spawn(move || drop(seen.begin_handshake(&drain)))
        };
        let draining = drain.watcher().draining();
        let server = thread::spawn(move || block_on(draining));

        let drained = drain.shutdown(GRACE);
        seen.begun.store(true, Ordering::SeqCst);
        seen.all_have_ended(&drain, block_on(drained));
        for thread in tunnels {
            thread.join().unwrap();
        }
        failing.join().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn a_handshake_under_way_is_waited_for() {
    model(|| {
        let (drain, seen) = (Drain::new(), Arc::<Seen>::default());
        let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
        let [failing, opening] = handshakes.map(Option::unwrap);
        let failing = thread::spawn(move || drop(failing));
        let opening = {
            let seen = Arc::clone(&seen);
            thread::spawn(move || seen.tunnel(opening))
        };
        let drained = block_on(drain.shutdown(GRACE));
        seen.all_have_ended(&drain, drained);
        assert_eq!(drained.total(), 1);
        failing.join().unwrap();
        opening.join().unwrap();
    });
}

#[test]
fn two_calls_at_once_both_see_the_last_tunnel_end() {
    model(|| {
        let (drain, seen) = (Drain::new(), Arc::<Seen>::default());
        let handshakes = [drain.watcher().begin_handshake(), drain.watcher().begin_handshake()];
        let [first, second] = handshakes.map(Option::unwrap).map(|guard| {
            let seen = Arc::clone(&seen);
            thread::spawn(move || seen.tunnel(guard))
        });
        let other = {
            let drain = drain.clone();
            thread::spawn(move || block_on(drain.shutdown(GRACE)))
        };
        // A call whose future nobody waits for takes nothing from the others.
        drop(drain.shutdown(GRACE));
        let drained = block_on(drain.shutdown(GRACE));
        // Tunnels that the other call has told may have ended before this one began.
        assert_eq!((drained.remaining(), drained.aborted(), drain.active()), (0, 0, 0));
        assert_eq!(seen.ended.load(Ordering::SeqCst), 2);
        assert!(other.join().unwrap().total() <= 2);
        first.join().unwrap();
        second.join().unwrap();
    });
}
