use super::*;

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
fn the_last_endpoint_of_an_id_counts() {
    let [a, b] = ["http://a", "http://b"].map(|text| text.parse::<Endpoint>().unwrap().id("one"));
    let pool = Pool::new([a, b]);
    assert_eq!(pool.endpoints().len(), 1);
    assert_eq!(pool.endpoints()[0].upstream().to_string(), "http://b");
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

#[test]
fn an_endpoint_that_comes_back_has_its_counts_while_anything_refers_to_it() {
    let pool = pool(2, Balance::least_tunnels());
    let mut leases = open(&pool, 20);
    pool.set(endpoints(1));
    assert_eq!(loads(&pool), [10]);
    pool.set(endpoints(2));
    assert_eq!(loads(&pool), [10, 10]);
    pool.set(endpoints(1));
    leases.retain(|lease| lease.upstream().to_string() == "http://a");
    pool.set(endpoints(2));
    assert_eq!(loads(&pool), [10, 0]);
    for _ in 0..1_000 {
        pool.set(endpoints(1));
        pool.set(endpoints(2));
    }
    assert!(pool.members().removed_len() <= 1);
}
