use super::*;

#[test]
fn endpoints_that_have_failed_for_a_request_are_not_chosen_again() {
    let pool = pool(3, Balance::round_robin());
    let mut parts = request(0);
    let mut selection = select(Target::Pool(pool.clone()), &mut parts);
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
        let mut selection = select(target, &mut parts);
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
async fn attempts_on_other_endpoints_have_a_budget() {
    let pool = pool(2, Balance::round_robin()).outlier(None);
    let mut retried = 0;
    for _ in 0..1_000 {
        let mut parts = request(0);
        let mut selection = select(Target::Pool(pool.clone()), &mut parts);
        let selected = selection.next(&parts).unwrap();
        retried += usize::from(selection.retry(selected, &parts).is_some());
    }
    // Ten a second over ten seconds, and 20 %.
    assert!((290..=310).contains(&retried), "{retried}");
}

#[test]
fn the_attempt_that_takes_the_head_is_the_last_even_if_the_set_grows_meanwhile() {
    let pool = pool(1, Balance::default());
    let mut parts = request(7);
    let mut selection = select(Target::Pool(pool.clone()), &mut parts);
    let selected = selection.next(&parts).unwrap();
    assert!(selection.head(&mut parts).headers.contains_key("x-user") && parts.headers.is_empty());
    pool.set(endpoints(3));
    assert!(selection.retry(selected, &parts).is_none());
    // With several, the head stays.
    let mut parts = request(7);
    let mut selection = select(Target::Pool(pool), &mut parts);
    let selected = selection.next(&parts).unwrap();
    assert_eq!(selection.head(&mut parts).headers, parts.headers);
    assert!(selection.retry(selected, &parts).is_some());
}
