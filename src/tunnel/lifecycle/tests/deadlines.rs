//! Decisions before and after every deadline.

use super::*;

fn request(lifecycle: &Lifecycle, at: u32, deadline: u32) -> Box<ShutdownRequest> {
    let [at, deadline] = [at, deadline].map(|seconds| lifecycle.opened + seconds * SECOND);
    Box::new(ShutdownRequest { at, deadline, close: None })
}

/// Checks that nothing happens before `seconds`, and then `expected`; and the same with the sides swapped.
#[track_caller]
fn expect_at(
    seconds: u32,
    expected: &str,
    client: &Status,
    upstream: &Status,
    make: impl Fn(bool) -> Lifecycle,
) {
    for is_swapped in [false, true] {
        let lifecycle = make(is_swapped);
        let directions = match is_swapped {
            false => Sides { client: client.clone(), upstream: upstream.clone() },
            true => Sides { client: upstream.clone(), upstream: client.clone() },
        };
        let expected = if is_swapped { mirrored(expected) } else { expected.to_owned() };
        let at = lifecycle.opened + seconds * SECOND;
        let before = lifecycle.next(&directions, at - Duration::from_nanos(1));
        assert_eq!(words(&before, &lifecycle), format!("wait {seconds}"));
        for later in [Duration::ZERO, 1000 * SECOND] {
            assert_eq!(words(&lifecycle.next(&directions, at + later), &lifecycle), expected);
        }
    }
}

#[test]
fn an_open_tunnel_closes_at_its_earliest_deadline() {
    let config = TunnelConfig::new;
    let [open, closed, half] = ["running", "closed", "finished"].map(status);
    let with = |config: TunnelConfig| move |_| lifecycle(config.clone());
    let half_closed = |at: u32, config: TunnelConfig| {
        move |_| {
            let mut lifecycle = lifecycle(config.clone());
            lifecycle.half_closed = Some(lifecycle.opened + at * SECOND);
            lifecycle
        }
    };
    expect_at(60, "close idle_timeout", &open, &open, with(config()));
    // Counted from the half-close.
    expect_at(30, "close half_close_timeout", &half, &open, half_closed(0, config()));
    expect_at(37, "close half_close_timeout", &half, &half, half_closed(7, config()));
    expect_at(60, "close idle_timeout", &half, &open, with(config().half_close_timeout(None)));
    expect_at(20, "close idle_timeout", &half, &open, with(config().idle_timeout(20 * SECOND)));
    expect_at(60, "close idle_timeout", &closed, &open, with(config()));
    expect_at(10, "close lifetime_reached", &open, &open, with(config().max_lifetime(10 * SECOND)));
    expect_at(10, "close lifetime_reached", &half, &open, with(config().max_lifetime(10 * SECOND)));
    expect_at(5, "end client_closed", &closed, &closed, |is_swapped| {
        let mut lifecycle = lifecycle(config());
        lifecycle.first = Some(if is_swapped { Side::Upstream } else { Side::Client });
        lifecycle
    });
    expect_at(7, "close drained", &open, &half, |_| {
        let mut lifecycle = lifecycle(config());
        lifecycle.shutdown_request = Some(request(&lifecycle, 7, 100));
        lifecycle
    });
}

#[test]
fn a_quiet_side_gets_a_ping_and_then_a_timeout() {
    let config = || {
        TunnelConfig::new()
            .idle_timeout(500 * SECOND)
            .half_close_timeout(None)
            .keep_alive(KeepAlive::new().client(20 * SECOND).upstream(20 * SECOND).timeout(10 * SECOND))
    };
    let watched = move |is_swapped: bool, pinged_at: Option<u32>| {
        let mut lifecycle = lifecycle(config());
        lifecycle.start_keep_alive();
        let side = if is_swapped { Side::Upstream } else { Side::Client };
        let opened = lifecycle.opened;
        lifecycle.liveness[side.other()] = None;
        if let (Some(liveness), Some(pinged_at)) = (&mut lifecycle.liveness[side], pinged_at) {
            liveness.on_ping_sent(opened + pinged_at * SECOND);
        }
        lifecycle
    };
    let [open, closed, half] = ["running", "closed", "finished"].map(status);
    let blocked = Status { is_blocked: true, ..running() };
    for other in [&open, &closed, &half, &blocked] {
        expect_at(20, "ping client", &open, other, |is_swapped| watched(is_swapped, None));
        expect_at(30, "close client_keep_alive_timeout", &open, other, |is_swapped| {
            watched(is_swapped, Some(20))
        });
        for silent in [&closed, &half, &blocked] {
            expect_at(500, "close idle_timeout", silent, other, |is_swapped| watched(is_swapped, None));
        }
    }
}

#[test]
fn both_sides_are_probed_once_before_the_idle_timeout() {
    let probing = |sent: bool| {
        let mut lifecycle = lifecycle(TunnelConfig::new().idle_probe());
        lifecycle.start_keep_alive();
        if sent {
            lifecycle.probe(&mut Sides::from_fn(|_| Direction::new(None)));
        }
        lifecycle
    };
    let open = running();
    expect_at(45, "probe", &open, &open, |_| probing(false));
    expect_at(60, "close idle_timeout", &open, &open, |_| probing(true));
    expect_at(46, "probe", &open, &open, |_| {
        let mut lifecycle = probing(true);
        lifecycle.last_byte += SECOND;
        lifecycle
    });
}

#[test]
fn a_rate_limit_wakes_the_tunnel_without_an_action() {
    let lifecycle = lifecycle(TunnelConfig::new());
    let [at, later] = [3, 4].map(|seconds| Some(lifecycle.opened + seconds * SECOND));
    for (client, upstream) in [(at, None), (None, at), (at, later), (later, at)] {
        let directions = Sides {
            client: Status { resumes_at: client, ..running() },
            upstream: Status { resumes_at: upstream, ..running() },
        };
        for now in [0, 3, 4] {
            let next = lifecycle.next(&directions, lifecycle.opened + now * SECOND);
            assert_eq!(words(&next, &lifecycle), "wait 3");
        }
    }
}

#[test]
fn a_close_handshake_ends_at_its_deadline() {
    let [open, closed] = ["running", "closed"].map(status);
    for other in [&open, &closed] {
        expect_at(5, "end lifetime_reached", &open, other, |_| {
            let mut lifecycle = closing_both();
            begin(&mut lifecycle, TunnelEnd::LifetimeReached);
            lifecycle
        });
        expect_at(40, "end drain_timeout", &open, other, |_| {
            let mut lifecycle = closing_both();
            lifecycle.shutdown_request = Some(request(&lifecycle, 0, 40));
            begin(&mut lifecycle, TunnelEnd::Drained);
            lifecycle
        });
    }
}
