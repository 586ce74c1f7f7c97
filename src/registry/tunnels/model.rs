use std::{collections::BTreeSet, future::poll_fn, task::Poll, time::Duration};

use shuttle::{future::block_on, sync::Mutex, thread};
use tokio::time::Instant;

use super::{tests::Dummy, *};
use crate::{
    registry::Registration, sync::model, tunnel::CloseCode, tunnel::CloseFrame, tunnel::TunnelEnd,
    tunnel::shared::Shared, tunnel::shared::ShutdownRequest,
};

/// Runs the task of a tunnel up to its order.
fn await_order(live: &Shared) -> ShutdownRequest {
    block_on(poll_fn(|cx| live.poll_shutdown_request(cx).map_or(Poll::Pending, Poll::Ready)))
}

#[test]
fn no_order_is_lost_and_all_of_them_become_one() {
    model(|| {
        let live = Arc::new(Shared::new());
        let begun = Instant::now();
        let after = move |seconds| begun + Duration::from_secs(seconds);
        let threads = [(10, 40), (20, 30), (15, 35)].map(|(at, by)| {
            let live = Arc::clone(&live);
            let close = CloseFrame::new(CloseCode::GOING_AWAY);
            thread::spawn(move || {
                live.request_shutdown(ShutdownRequest { at: after(at), deadline: after(by), close })
            })
        });
        let mut known = await_order(&live);
        while (known.at, known.deadline) != (after(10), after(30)) {
            known = await_order(&live).merged(Some(known));
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn who_stands_is_listed_and_who_has_ended_is_not() {
    model(|| {
        let tunnels = Tunnels::new();
        // Ids of those that have opened, and of those that began to end.
        let known = Arc::<Mutex<(BTreeSet<u64>, BTreeSet<u64>)>>::default();
        let threads = ["a", "b"].map(|label| {
            let (tunnels, known) = (tunnels.clone(), Arc::clone(&known));
            thread::spawn(move || {
                let dummy = Dummy::labelled(label, |info| Registration::new(info, Some(&tunnels), None));
                let id = dummy.info.id();
                known.lock().unwrap().0.insert(id);
                thread::yield_now();
                assert_eq!(tunnels.get(id).unwrap().info().label(), Some(label));
                known.lock().unwrap().1.insert(id);
                dummy.end(&TunnelEnd::IdleTimeout);
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
fn whoever_is_chosen_is_told_or_has_ended_before_and_is_waited_for() {
    model(|| {
        let tunnels = Tunnels::new();
        let open = |label: &str| Dummy::labelled(label, |info| Registration::new(info, Some(&tunnels), None));
        let [first, second, other] = ["eve", "eve", "bob"].map(open);
        let by_itself = thread::spawn(move || first.end(&TunnelEnd::IdleTimeout));
        let as_told = thread::spawn(move || {
            await_order(second.registration.live().unwrap());
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
        assert!(other.order().is_none());
        by_itself.join().unwrap();
        as_told.join().unwrap();
    });
}
