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

fn selection(target: Target, parts: &mut Parts) -> Selection {
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

#[test]
fn a_hundred_thousand_tunnels_are_even_over_ten_endpoints() {
    if cfg!(miri) {
        return;
    }
    let table = [
        (Balance::least_tunnels(), 1.001),
        (Balance::p2c(), 1.01),
        (by_user(), 1.05),
        (Balance::round_robin(), 1.001),
        (Balance::random(), 1.05),
        (by_user().bounded(1.01), 1.011),
    ];
    for (balance, limit) in table {
        let pool = pool(10, balance.clone());
        let leases = open(&pool, 100_000);
        let imbalance = imbalance(&pool);
        assert!(imbalance <= limit, "{balance:?}: {imbalance}");
        drop(leases);
        assert_eq!(loads(&pool), [0; 10], "{balance:?}");
    }
}

#[test]
fn weights_divide_the_load() {
    let table = [
        (Balance::least_tunnels(), 0.001),
        (Balance::p2c(), 0.01),
        (Balance::round_robin(), 0.001),
        (Balance::random(), 0.02),
        (by_user(), 0.02),
    ];
    for (balance, tolerance) in table {
        let pool = pool(3, balance.clone());
        for (id, weight) in [("http://a", 1), ("http://b", 2), ("http://c", 4)] {
            assert!(pool.set_weight(id, weight));
        }
        let number = many(70_000);
        let _leases = open(&pool, number);
        for (load, share) in loads(&pool).into_iter().zip([1.0, 2.0, 4.0]) {
            let expected = number as f64 * share / 7.0;
            let difference = (load as f64 - expected).abs();
            let noise = if cfg!(miri) { number as f64 } else { 0.0 };
            assert!(difference <= tolerance * number as f64 + noise, "{balance:?}: {load} of {expected}");
        }
    }
}

#[test]
fn a_tunnel_counts_until_it_ends() {
    let pool = pool(3, Balance::least_tunnels());
    let mut leases = open(&pool, 30);
    // All tunnels of the first endpoint end.
    leases.retain(|lease| lease.upstream().to_string() != "http://a");
    assert_eq!(loads(&pool), [0, 10, 10]);
    leases.extend(open(&pool, 10));
    assert_eq!(loads(&pool), [10, 10, 10]);
}

#[test]
fn counts_survive_a_change_of_the_set() {
    let pool = pool(3, Balance::least_tunnels());
    let mut leases = open(&pool, many(300));
    let each = many(300) / 3;
    pool.set(endpoints(4));
    assert_eq!(loads(&pool)[3], 0);
    leases.extend(open(&pool, each - 1));
    // With the noise of a remainder.
    assert!(
        loads(&pool)[3] >= each - 3,
        "all new ones go to the fourth until it is level: {:?}",
        loads(&pool)
    );
    pool.set(endpoints(1));
    let first = loads(&pool)[0];
    drop(leases);
    assert!(first >= each && loads(&pool) == [0]);
}

#[test]
fn only_the_keys_of_an_endpoint_that_leaves_move_and_all_come_back() {
    let pool = pool(5, by_user());
    let number = many(10_000);
    let places = || -> Vec<String> {
        (0..number).map(|user| choose(&pool, &request(user)).upstream().to_string()).collect()
    };
    let before = places();
    pool.set(endpoints(4));
    let meanwhile = places();
    pool.set(endpoints(5));
    assert_eq!(places(), before);
    let moved: Vec<_> = before.iter().zip(&meanwhile).filter(|(before, after)| before != after).collect();
    assert!(moved.iter().all(|(before, _)| *before == "http://e"));
    assert!(cfg!(miri) || moved.len() as f64 <= 1.05 * number as f64 / 5.0, "{}", moved.len());
}

#[test]
fn requests_without_the_key_go_where_the_load_is_least() {
    let pool = pool(2, Balance::rendezvous(Key::cookie("session")));
    let _leases = open(&pool, 10);
    assert_eq!(loads(&pool), [5, 5]);
}

#[test]
fn bounded_load_moves_a_hot_key_to_the_next_endpoint() {
    let pool = pool(4, by_user().bounded(1.25));
    let hot = request(7);
    let _leases: Vec<_> = (0..100).map(|_| choose(&pool, &hot)).collect();
    let loads = loads(&pool);
    assert!(loads.iter().all(|load| *load <= 32), "{loads:?}");
}

#[test]
fn endpoints_out_of_use_and_full_ones_are_not_chosen() {
    let pool = pool(3, Balance::least_tunnels()).max_tunnels_per_endpoint(2);
    drop(pool.disable("http://a", DrainConfig::new()));
    pool.set_weight("http://b", 0);
    let leases = open(&pool, 2);
    assert_eq!(loads(&pool), [0, 0, 2]);
    let unavailable = |pool: &Pool| pool.lease(&request(0), &[], HINTS).unwrap_err();
    assert_eq!(unavailable(&pool), Unavailable::Full);
    drop(leases);
    drop(pool.disable("http://c", DrainConfig::new()));
    assert_eq!(unavailable(&pool), Unavailable::None);
    assert!(pool.enable("http://a") && !pool.enable("http://z") && !pool.set_weight("http://z", 1));
    assert_eq!(choose(&pool, &request(0)).upstream().to_string(), "http://a");
    assert_eq!(unavailable(&Pool::new([])), Unavailable::None);
}

#[test]
fn endpoints_that_have_failed_for_a_request_are_not_chosen_again() {
    let pool = pool(3, Balance::round_robin());
    let mut parts = request(0);
    let mut selection = selection(Target::Pool(pool.clone()), &mut parts);
    let mut selected = selection.next(&parts).unwrap();
    let mut seen = vec![selected.upstream.to_string()];
    while let Some(next) = selection.retry(selected, &parts) {
        seen.push(next.upstream.to_string());
        selected = next;
        assert_eq!(loads(&pool).iter().sum::<usize>(), 1, "the failed one is released");
    }
    seen.sort();
    assert_eq!(seen, ["http://a", "http://b", "http://c"]);
    assert_eq!(loads(&pool), [0; 3]);
}

#[test]
fn attempts_are_limited_and_one_upstream_has_one() {
    let attempts = |target: Target| {
        let mut parts = request(0);
        let mut selection = selection(target, &mut parts);
        let mut selected = Some(selection.next(&parts).unwrap());
        std::iter::from_fn(|| {
            let current = selected.take()?;
            selected = selection.retry(current, &parts);
            Some(())
        })
        .count()
    };
    assert_eq!(attempts(Target::Pool(pool(5, Balance::random()))), 3);
    assert_eq!(attempts(Target::Pool(pool(5, Balance::random()).attempts(0))), 1);
    assert_eq!(attempts(Target::Pool(pool(1, Balance::random()))), 1);
    assert_eq!(attempts(Target::One("http://a".parse().unwrap())), 1);
}

#[test]
fn the_last_endpoint_of_an_id_counts() {
    let [a, b] = ["http://a", "http://b"].map(|text| text.parse::<Endpoint>().unwrap().id("one"));
    let pool = Pool::new([a, b]);
    assert_eq!(pool.endpoints().len(), 1);
    assert_eq!(pool.endpoints()[0].upstream().to_string(), "http://b");
}

#[test]
fn a_policy_of_the_application_chooses() {
    struct Last;
    impl Choose for Last {
        fn choose(&self, candidates: &[Candidate<'_>], _: &Parts) -> usize {
            assert!(candidates.iter().all(|candidate| candidate.weight() == 1 && !candidate.id().is_empty()));
            candidates.len() + candidates[0].load()
        }
    }
    let pool = pool(3, Balance::custom(Last));
    let _leases = open(&pool, 4);
    assert_eq!(loads(&pool), [0, 0, 4]);
}

fn states(pool: &Pool) -> String {
    let letter = |endpoint: &EndpointStatus| match endpoint.state() {
        EndpointState::Ready => 'r',
        EndpointState::Ejected => 'e',
        EndpointState::Disabled => 'd',
    };
    pool.endpoints().iter().map(letter).collect()
}

/// A lease of the endpoint with this name.
fn lease_of(pool: &Pool, name: &str) -> Lease {
    let others: Vec<Arc<str>> = pool
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.id().into())
        .filter(|id: &Arc<str>| &**id != name)
        .collect();
    pool.lease(&request(0), &others, HINTS).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_is_ejected_and_for_longer_each_time() {
    let pool = pool(4, Balance::least_tunnels());
    let second = Duration::from_secs(1);
    let fail = || pool.failed(&lease_of(&pool, "http://a"));
    (0..4).for_each(|_| fail());
    pool.succeeded(&lease_of(&pool, "http://a"));
    (0..4).for_each(|_| fail());
    assert_eq!(states(&pool), "rrrr", "five in a row");
    fail();
    assert_eq!(states(&pool), "errr");
    let leases = open(&pool, 30);
    assert_eq!(loads(&pool), [0, 10, 10, 10]);
    drop(leases);
    // On probation, one failure is enough.
    for seconds in [30, 60, 90] {
        tokio::time::advance(second * (seconds - 1)).await;
        assert_eq!(states(&pool), "errr", "{seconds}");
        tokio::time::advance(second).await;
        assert_eq!(states(&pool), "rrrr", "{seconds}");
        fail();
        assert_eq!(states(&pool), "errr", "{seconds}");
    }
    tokio::time::advance(second * 120).await;
    pool.succeeded(&lease_of(&pool, "http://a"));
    fail();
    assert_eq!(states(&pool), "rrrr", "a success ends the row");
}

#[tokio::test(start_paused = true)]
async fn at_most_half_are_ejected_and_ejected_ones_are_better_than_none() {
    let pool = pool(3, Balance::least_tunnels()).outlier(Outlier::new().failures(1));
    for name in ["http://a", "http://b", "http://c"] {
        pool.failed(&lease_of(&pool, name));
    }
    assert_eq!(states(&pool), "err");
    let one = Pool::new(endpoints(1)).outlier(Outlier::new().failures(1));
    one.failed(&lease_of(&one, "http://a"));
    assert_eq!(states(&one), "r", "the only one");
    drop((pool.disable("http://b", DrainConfig::new()), pool.disable("http://c", DrainConfig::new())));
    assert_eq!(choose(&pool, &request(0)).upstream().to_string(), "http://a");
    // Without ejection.
    let never = Pool::new(endpoints(3)).outlier(None);
    (0..100).for_each(|_| never.failed(&lease_of(&never, "http://a")));
    assert_eq!(states(&never), "rrr");
}

/// The value of a `Cookie` field for the cookie that the selection sets.
fn cookie_of(selected: &Selected) -> String {
    let set = selected.set_cookie.as_ref().unwrap().to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn with_cookie(cookie: &str) -> Parts {
    Request::get("/").header("cookie", format!("a=1; {cookie}")).body(()).unwrap().into_parts().0
}

#[test]
fn a_cookie_leads_to_its_endpoint_while_that_takes_requests() {
    let pool = pool(3, Balance::least_tunnels()).sticky(Sticky::cookie("up").unwrap());
    let select = |pool: &Pool, purpose: Purpose, mut parts: Parts| {
        let target = Target::Pool(pool.clone());
        let selection = Selection::new(target, purpose, &mut parts, None, &Forwarded::none());
        assert!(parts.headers.get("cookie").is_none_or(|line| line == "a=1"), "{parts:?}");
        selection.next(&parts)
    };
    let user_request = || request(0);
    let first = select(&pool, Purpose::Upgrade, user_request()).unwrap();
    let (cookie, home) = (cookie_of(&first), first.upstream.to_string());
    // Although another one has less load.
    for purpose in [Purpose::Upgrade, Purpose::Request] {
        let again = select(&pool, purpose, with_cookie(&cookie)).unwrap();
        assert_eq!((again.upstream.to_string(), again.set_cookie), (home.clone(), None));
    }
    // A forged one.
    assert!(select(&pool, Purpose::Upgrade, with_cookie("up=AAAAAAAAAAE")).unwrap().set_cookie.is_some());

    drop(pool.disable(&home, DrainConfig::new()));
    let request = select(&pool, Purpose::Request, with_cookie(&cookie)).unwrap();
    assert_eq!((request.upstream.to_string(), request.set_cookie), (home.clone(), None));
    let moved = select(&pool, Purpose::Upgrade, with_cookie(&cookie)).unwrap();
    assert!(moved.upstream.to_string() != home && cookie_of(&moved) != cookie);
    let hard = pool.clone().sticky(Sticky::cookie("up").unwrap().hard());
    assert!(select(&hard, Purpose::Upgrade, with_cookie(&cookie)).err().unwrap().is_no_endpoint());
    assert!(select(&hard, Purpose::Upgrade, user_request()).is_ok());

    pool.enable(&home);
    let full = pool.clone().max_tunnels_per_endpoint(1);
    assert_ne!(select(&full, Purpose::Request, with_cookie(&cookie)).unwrap().upstream.to_string(), home);
    pool.set(endpoints(3).into_iter().filter(|endpoint| *endpoint.id != *home));
    assert_ne!(select(&pool, Purpose::Request, with_cookie(&cookie)).unwrap().upstream.to_string(), home);
}

#[test]
fn the_cookie_is_secure_over_https_only() {
    let pool = pool(1, Balance::default()).sticky(Sticky::cookie("up").unwrap());
    let peer = crate::rewrite::forwarded::Peer::new(([192, 0, 2, 1], 1).into());
    let trusting = Forwarded::none().trust(["192.0.2.1/32".parse().unwrap()]);
    let table = [
        (None, None, &Forwarded::none(), false),
        (Some(peer.https()), None, &Forwarded::none(), true),
        (Some(peer), Some("https"), &Forwarded::none(), false),
        (Some(peer), Some("https"), &trusting, true),
        (Some(peer.https()), Some("http"), &trusting, false),
    ];
    for (peer, reported, forwarded, is_secure) in table {
        let mut parts = request(0);
        parts.extensions.extend({
            let mut extensions = http::Extensions::new();
            peer.map(|peer| extensions.insert(peer));
            extensions
        });
        reported.map(|scheme| parts.headers.insert("x-forwarded-proto", scheme.parse().unwrap()));
        let target = Target::Pool(pool.clone());
        let selection = Selection::new(target, Purpose::Upgrade, &mut parts, None, forwarded);
        let cookie = selection.next(&parts).unwrap().set_cookie.unwrap();
        assert_eq!(cookie.to_str().unwrap().ends_with("; Secure"), is_secure, "{peer:?} {reported:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_comes_to_its_share_over_the_slow_start() {
    let second = Duration::from_secs(1);
    for balance in [Balance::round_robin(), Balance::random(), Balance::p2c()] {
        let pool = pool(1, balance.clone()).slow_start(30 * second);
        pool.set(endpoints(2));
        let mut shares = Vec::new();
        for _ in 0..4 {
            let leases = open(&pool, many(1_000));
            shares.push(loads(&pool)[1] * 100 / many(1_000));
            drop(leases);
            tokio::time::advance(10 * second).await;
        }
        // A weight of 10, 40, 70 and 100 beside 100. With two choices, the load levels it.
        let expected = [9, 28, 41, 50];
        let is_near = shares.iter().zip(expected).all(|(share, expected)| share.abs_diff(expected) <= 5);
        assert!(cfg!(miri) || is_near, "{balance:?}: {shares:?}");
    }
    // With least tunnels the new one has a tenth of the load of the others at first.
    let pool = pool(2, Balance::least_tunnels()).slow_start(30 * second);
    let mut leases = open(&pool, 200);
    pool.set(endpoints(3));
    leases.extend(open(&pool, 30));
    assert!((9..=11).contains(&loads(&pool)[2]), "{:?}", loads(&pool));
    tokio::time::advance(30 * second).await;
    leases.extend(open(&pool, 90));
    assert!((99..=101).contains(&loads(&pool)[2]), "all new ones: {:?}", loads(&pool));
}

#[tokio::test(start_paused = true)]
async fn attempts_on_other_endpoints_have_a_budget() {
    let pool = pool(2, Balance::round_robin()).outlier(None);
    let mut retried = 0;
    for _ in 0..1_000 {
        let mut parts = request(0);
        let mut selection = selection(Target::Pool(pool.clone()), &mut parts);
        let selected = selection.next(&parts).unwrap();
        retried += usize::from(selection.retry(selected, &parts).is_some());
    }
    // Ten a second over ten seconds, and 20 %.
    assert!((290..=310).contains(&retried), "{retried}");
}
