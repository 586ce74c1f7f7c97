//! Models of leases, changes of the set, and tunnels of endpoints that leave, on several threads.

use http::Request;
use shuttle::thread;

use super::*;
use crate::sync::model;

fn endpoint(name: &str) -> Endpoint {
    format!("http://{name}").parse().unwrap()
}

fn lease(pool: &Pool) -> Option<Lease> {
    let parts = Request::new(()).into_parts().0;
    pool.lease(&parts, &[], Hints { key: None, wanted: None, purpose: Purpose::Upgrade }).ok()
}

fn loads(pool: &Pool) -> Vec<usize> {
    pool.endpoints().iter().map(EndpointStatus::load).collect()
}

#[test]
fn counts_are_exact_while_the_set_changes() {
    model(|| {
        let pool = Pool::new([endpoint("a"), endpoint("b")]);
        let users = (0..2).map(|_| {
            let pool = pool.clone();
            thread::spawn(move || {
                let first = lease(&pool);
                let second = lease(&pool);
                drop(first);
                second
            })
        });
        let users: Vec<_> = users.collect();
        let changes = {
            let pool = pool.clone();
            thread::spawn(move || {
                pool.set([endpoint("b"), endpoint("c")]);
                pool.set([endpoint("a"), endpoint("b")]);
            })
        };
        let leases: Vec<_> = users.into_iter().map(|user| user.join().unwrap()).collect();
        changes.join().unwrap();
        // What was leased from an endpoint that was removed meanwhile is not in the set any more.
        assert!(loads(&pool).iter().sum::<usize>() <= 2);
        drop(leases);
        assert_eq!(loads(&pool), [0, 0]);
    });
}

#[test]
fn concurrent_choices_never_take_the_same_endpoint_twice_as_often() {
    model(|| {
        let pool = Pool::new([endpoint("a"), endpoint("b")]);
        let users = (0..2).map(|_| {
            let pool = pool.clone();
            thread::spawn(move || lease(&pool))
        });
        let _leases: Vec<_> =
            users.collect::<Vec<_>>().into_iter().map(|user| user.join().unwrap()).collect();
        assert_eq!(loads(&pool), [1, 1]);
    });
}

#[test]
fn a_limit_is_never_exceeded() {
    model(|| {
        let pool = Pool::new([endpoint("a")]).max_tunnels_per_endpoint(1);
        let users = (0..3).map(|_| {
            let pool = pool.clone();
            thread::spawn(move || lease(&pool))
        });
        let leases: Vec<_> = users.collect::<Vec<_>>().into_iter().map(|user| user.join().unwrap()).collect();
        assert_eq!(leases.iter().flatten().count(), 1);
    });
}
