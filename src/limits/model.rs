use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
};

use shuttle::thread;

use super::{keyed::Keyed, *};
use crate::sync::model;

/// How many hold something just now, as they themselves say.
#[derive(Default)]
struct Holders(AtomicUsize);

impl Holders {
    fn hold(&self, limit: usize) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < limit, "one too many");
        thread::yield_now();
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn no_key_has_more_than_its_places_and_all_come_back() {
    model(|| {
        let keyed = Arc::new(Keyed::new(2));
        let holders = Arc::<[Holders; 2]>::default();
        let threads = (0..4).map(|number| {
            let (keyed, holders) = (Arc::clone(&keyed), Arc::clone(&holders));
            thread::spawn(move || {
                for key in [0, number % 2] {
                    let place = keyed.take(key);
                    if place.is_some() {
                        holders[key].hold(2);
                    }
                    drop(place);
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        assert!(format!("{keyed:?}").contains("keys: 0"), "{keyed:?}");
        let places: Vec<_> = (0..3).map(|_| keyed.take(0)).collect();
        assert_eq!(places.iter().flatten().count(), 2);
    });
}

#[test]
fn a_place_that_was_given_back_is_there_for_the_next() {
    model(|| {
        let keyed = Arc::new(Keyed::new(3));
        let places = [keyed.take(0), keyed.take(0), keyed.take(0)];
        let threads = places.into_iter().take(2).map(|place| thread::spawn(move || drop(place)));
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        let again: Vec<_> = (0..4).map(|_| keyed.take(0)).collect();
        assert_eq!(again.iter().flatten().count(), 3);
    });
}

#[test]
fn who_is_refused_by_one_limit_takes_no_place_of_another() {
    model(|| {
        let mut limits = Limits::default();
        limits.set_tunnels(2);
        limits.set_per_client(1);
        limits.set_per_upstream(1);
        let upstream: Upstream = "http://a".parse().unwrap();
        let holders = Arc::<Holders>::default();
        let threads = (1..=3).map(|number| {
            let (limits, upstream, holders) = (limits.clone(), upstream.clone(), Arc::clone(&holders));
            thread::spawn(move || {
                let client = Ipv4Addr::new(192, 0, 2, 1 + number % 2);
                let admitted = limits.admit(Some(client.into()));
                let admission = admitted.and_then(|client| limits.admit_to(&upstream, client));
                if admission.is_ok() {
                    holders.hold(1);
                }
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap();
        }
        let held: Vec<_> =
            [1, 2, 3].map(|last| limits.admit(Some(Ipv4Addr::new(192, 0, 2, last).into()))).into();
        assert_eq!(held.iter().flatten().count(), 2, "of tunnels");
    });
}
