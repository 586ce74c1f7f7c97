use super::*;

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
async fn a_new_endpoint_gets_no_more_tunnels_in_a_second_than_the_limit() {
    let limit = NonZeroU32::new(10).unwrap();
    let pool = pool(2, Balance::least_tunnels()).max_opens_per_second(limit);
    let mut leases = Vec::new();
    for _ in 0..10 {
        leases.extend(open(&pool, 20));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(loads(&pool), [100, 100]);
    pool.set(endpoints(3));
    for second in 1..=5 {
        leases.extend(open(&pool, 20));
        assert_eq!(loads(&pool)[2], 10 * second, "{:?}", loads(&pool));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // More than all are allowed: the limit is ignored, and the load decides.
    leases.extend(open(&pool, 150));
    assert_eq!(loads(&pool).iter().sum::<usize>(), 450);
    assert!(loads(&pool)[2] > 140, "{:?}", loads(&pool));
}

/// Tunnels that live for ten minutes in the mean, each replaced by another one.
#[test]
fn an_endpoint_that_was_restarted_has_its_share_again_after_five_minutes() {
    if cfg!(miri) {
        return;
    }
    let (pool, mut random) = (pool(10, Balance::least_tunnels()), fastrand::Rng::with_seed(7));
    let (mut leases, parts) = (open(&pool, 10_000), request(0));
    drop(pool.disable("http://a", DrainConfig::new()));
    for lease in &mut leases {
        if lease.upstream().to_string() == "http://a" {
            *lease = choose(&pool, &parts);
        }
    }
    assert_eq!(loads(&pool)[0], 0);
    pool.enable("http://a");
    for second in 1..=300 {
        for lease in &mut leases {
            if random.u32(..600) == 0 {
                *lease = choose(&pool, &parts);
            }
        }
        match second {
            60 => assert!(loads(&pool)[0] >= 750, "{:?}", loads(&pool)),
            300 => assert!(loads(&pool)[0] >= 990, "{:?}", loads(&pool)),
            _ => {}
        }
    }
}
