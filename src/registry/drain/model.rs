use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Poll,
};

use shuttle::{future::block_on, thread};

use super::*;
use crate::{
    registry::tunnels::tests::Dummy,
    registry::{Pass, Presence},
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
    fn tunnel(&self, pass: Pass) {
        let dummy = Dummy::labelled("", |info| Presence::new(info, None, Some(pass)));
        self.opened.fetch_add(1, Ordering::SeqCst);
        let live = dummy.presence.live().unwrap();
        block_on(poll_fn(|cx| live.poll_shutdown_request(cx).map_or(Poll::Pending, Poll::Ready)));
        self.ended.fetch_add(1, Ordering::SeqCst);
        dummy.end(&TunnelEnd::Drained { cut: false });
    }

    fn pass(&self, drain: &Drain) -> Option<Pass> {
        let begun = self.begun.load(Ordering::SeqCst);
        let pass = drain.watcher().pass();
        assert!(!begun || pass.is_none(), "admitted after the drain began");
        pass
    }

    /// That `drained` tells of all of them, and comes when the last has ended.
    fn all_have_ended(&self, drain: &Drain, drained: DrainSummary) {
        assert_eq!(drain.active(), 0);
        let [opened, ended] = [&self.opened, &self.ended].map(|number| number.load(Ordering::SeqCst));
        assert_eq!((opened, drained.agreed(), drained.total()), (ended, ended, ended));
        assert!(drain.watcher().pass().is_none());
    }
}

#[test]
fn who_was_admitted_is_told_and_waited_for_and_nobody_else_is() {
    model(|| {
        let (drain, seen) = (Drain::new(), Arc::<Seen>::default());
        let tunnels = (0..2).map(|_| {
            let (drain, seen) = (drain.clone(), Arc::clone(&seen));
            thread::spawn(move || seen.pass(&drain).map(|pass| seen.tunnel(pass)))
        });
        let tunnels: Vec<_> = tunnels.collect();
        let failing = {
            let (drain, seen) = (drain.clone(), Arc::clone(&seen));
            thread::spawn(move || drop(seen.pass(&drain)))
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
        let passes = [drain.watcher().pass(), drain.watcher().pass()];
        let [failing, opening] = passes.map(Option::unwrap);
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
        let passes = [drain.watcher().pass(), drain.watcher().pass()];
        let [first, second] = passes.map(Option::unwrap).map(|pass| {
            let seen = Arc::clone(&seen);
            thread::spawn(move || seen.tunnel(pass))
        });
        let other = {
            let drain = drain.clone();
            thread::spawn(move || block_on(drain.shutdown(GRACE)))
        };
        // A call whose future nobody waits for takes nothing from the others.
        drop(drain.shutdown(GRACE));
        let drained = block_on(drain.shutdown(GRACE));
        // Tunnels that the other call has told may have ended before this one began.
        assert_eq!((drained.left(), drained.cut(), drain.active()), (0, 0, 0));
        assert_eq!(seen.ended.load(Ordering::SeqCst), 2);
        assert!(other.join().unwrap().total() <= 2);
        first.join().unwrap();
        second.join().unwrap();
    });
}
