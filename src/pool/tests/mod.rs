mod balance;
mod members;
mod selection;

use http::{HeaderName, Request};

use super::*;
use crate::rewrite::forwarded::Forwarded;

const NAMES: &str = "abcdefghij";

fn endpoints(number: usize) -> Vec<Endpoint> {
    NAMES[..number].chars().map(|name| format!("http://{name}").parse().unwrap()).collect()
}

fn pool(number: usize, balance: Balance) -> Pool {
    Pool::new(endpoints(number)).balance(balance)
}

/// A request of a user.
fn request(user: usize) -> Parts {
    Request::get("/").header("x-user", user.to_string()).body(()).unwrap().into_parts().0
}

const HINTS: Hints = Hints { key: None, wanted: None, purpose: Purpose::Upgrade };

fn select(target: Target, parts: &mut Parts) -> Selection {
    Selection::new(target, Purpose::Upgrade, parts, None, &Forwarded::none())
}

fn by_user() -> Balance {
    Balance::rendezvous(Key::header(HeaderName::from_static("x-user")))
}

fn choose(pool: &Pool, request: &Parts) -> Lease {
    pool.lease(request, &[], Hints { key: pool.key(request, None), ..HINTS }).unwrap()
}

fn open(pool: &Pool, number: usize) -> Vec<Lease> {
    (0..number).map(|user| choose(pool, &request(user))).collect()
}

fn loads(pool: &Pool) -> Vec<usize> {
    pool.endpoints().iter().map(EndpointStatus::load).collect()
}

/// The largest load in relation to the mean.
fn imbalance(pool: &Pool) -> f64 {
    let loads = loads(pool);
    let mean = loads.iter().sum::<usize>() as f64 / loads.len() as f64;
    *loads.iter().max().unwrap() as f64 / mean
}

/// A number of tunnels that is slow in Miri.
fn many(number: usize) -> usize {
    if cfg!(miri) { 100 } else { number }
}
