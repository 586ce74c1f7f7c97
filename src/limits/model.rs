use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use shuttle::thread;

use super::{keyed::Keyed, *};
use crate::sync::model;

/// Count of the permits in use, kept apart from the code under test.
#[derive(Default)]
struct InUse(AtomicUsize);

impl InUse {
    fn hold(&self, limit: usize) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < limit, "above the limit");
        thread::yield_now();
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn no_key_exceeds_its_limit_and_all_permits_are_released() {
    model(|| {
        let keyed = Arc::new(Keyed::new(2));
        let in_use = Arc::<[InUse; 2]>::default();
        let threads = (0..4).map(|number| {
            let (keyed, in_use) = (Arc::clone(&keyed), Arc::clone(&in_use));
            thread::spawn(move || {
                for key in [0, number % 2] {
                    let permit = keyed.acquire(key);
                    if permit.is_some() {
                        in_use[key].hold(2);
                    }
                    drop(permit);
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        assert!(format!("{keyed:?}").contains("keys: 0"), "{keyed:?}");
        let permits: Vec<_> = (0..3).map(|_| keyed.acquire(0)).collect();
        assert_eq!(permits.iter().flatten().count(), 2);
    });
}

#[test]
fn a_released_permit_is_available_again() {
    model(|| {
        let keyed = Arc::new(Keyed::new(3));
        let permits = [keyed.acquire(0), keyed.acquire(0), keyed.acquire(0)];
        let threads = permits.into_iter().take(2).map(|permit| thread::spawn(move || drop(permit)));
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        let again: Vec<_> = (0..4).map(|_| keyed.acquire(0)).collect();
        assert_eq!(again.iter().flatten().count(), 3);
    });
}

#[test]
fn a_refusal_by_one_limit_takes_no_permit_of_another() {
    model(|| {
        let mut limits = Limits::default();
        limits.set_tunnels(2);
        limits.set_per_client(1);
        limits.set_per_upstream(1);
        let upstream: Upstream = "http://a".parse().unwrap();
        let in_use = Arc::<InUse>::default();
        let threads = (1..=3).map(|number| {
            let (limits, upstream, in_use) = (limits.clone(), upstream.clone(), Arc::clone(&in_use));
            thread::spawn(move || {
                let client = Ipv4Addr::new(192, 0, 2, 1 + number % 2);
                let permit = limits.permit_tunnel(Some(client.into()));
                let permit = permit
                    .and_then(|mut permit| limits.permit_upstream(&mut permit, &upstream).map(|()| permit));
                if permit.is_ok() {
                    in_use.hold(1);
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        let held: Vec<_> =
            [1, 2, 3].map(|last| limits.permit_tunnel(Some(Ipv4Addr::new(192, 0, 2, last).into()))).into();
        assert_eq!(held.iter().flatten().count(), 2, "of the total");
    });
}
