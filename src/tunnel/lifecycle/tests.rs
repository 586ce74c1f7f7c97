//! Decisions for all pairs of direction states, and for every deadline. No IO.

use std::io;

use super::{
    super::{
        CloseCode, CloseFrame, KeepAlive, direction::CopyError, direction::Phase, frame_relay::FrameError,
    },
    *,
};

const SECOND: Duration = Duration::from_secs(1);

fn lifecycle(config: TunnelConfig) -> Lifecycle {
    Lifecycle::new(Arc::new(config))
}

fn running() -> Status {
    Status {
        phase: Phase::Running,
        error: None,
        is_closed: false,
        frame_error: None,
        is_blocked: false,
        is_flushed: false,
        resumes_at: None,
    }
}

/// The state of a direction by its letter in the tables.
fn status(letter: &str) -> Status {
    let error = || Arc::new(io::Error::from(io::ErrorKind::ConnectionReset));
    let running = running();
    match letter {
        "running" => running,
        "flushed" => Status { is_flushed: true, ..running },
        "closed" => Status { is_closed: true, ..running },
        "closed+flushed" => Status { is_closed: true, is_flushed: true, ..running },
        "finished" => Status { phase: Phase::ShuttingDown, ..running },
        "done" => Status { phase: Phase::Done, is_flushed: true, ..running },
        "read" => Status { error: Some(CopyError::Read(error())), ..running },
        "write" => Status { error: Some(CopyError::Write(error())), ..running },
        "big" => Status { frame_error: Some(FrameError::TooBig), ..running },
        "invalid" => Status { frame_error: Some(FrameError::Masking), ..running },
        other => panic!("no state {other}"),
    }
}

/// The action in words; times are seconds since the tunnel opened.
fn words(next: &Next, lifecycle: &Lifecycle) -> String {
    let sides = |sides: &Sides<bool>| match (sides.client, sides.upstream) {
        (true, true) => "client+upstream",
        (true, false) => "client",
        (false, true) => "upstream",
        (false, false) => "none",
    };
    match next {
        Next::Wait(None) => "wait".to_owned(),
        Next::Wait(Some(deadline)) => format!("wait {}", (*deadline - lifecycle.opened).as_secs()),
        Next::Ping(side) => format!("ping {side}"),
        Next::Close(end) => format!("close {}", end.reason()),
        Next::Abandon(which) => format!("abandon {}", sides(which)),
        Next::Release(which) => format!("release {}", sides(which)),
        Next::End(end) => format!("end {}", end.reason()),
    }
}

/// The words with the sides swapped.
fn mirrored(words: &str) -> String {
    match words {
        "abandon client+upstream" | "release client+upstream" => words.to_owned(),
        _ => words.replace("client", "-").replace("upstream", "client").replace('-', "upstream"),
    }
}

/// Checks the decision for every pair of states: rows are the direction from the client, columns the direction
/// from the upstream.
fn check<const N: usize>(lifecycle: &Lifecycle, columns: [&str; N], rows: [(&str, [&str; N]); N]) {
    for (client, row) in rows {
        for (upstream, expected) in columns.into_iter().zip(row) {
            let directions = Sides { client: status(client), upstream: status(upstream) };
            let next = lifecycle.next(&directions, lifecycle.opened);
            assert_eq!(words(&next, lifecycle), expected, "from client: {client}, from upstream: {upstream}");
        }
    }
}

#[test]
fn an_open_tunnel_ends_by_frames_errors_or_both_sides() {
    let mut lifecycle = lifecycle(TunnelConfig::new().idle_timeout(None).half_close_timeout(None));
    lifecycle.first = Some(Side::Upstream);
    let wait = "wait";
    // Both sides have sent a Close: their connections have the close timeout to end.
    let soon = "wait 5";
    let end = "end upstream_closed";
    let [c, u] = ["close client_failed", "close upstream_failed"];
    let [big_c, big_u] = ["close client_too_big", "close upstream_too_big"];
    let [inv_c, inv_u] = ["close client_invalid_framing", "close upstream_invalid_framing"];
    check(
        &lifecycle,
        ["running", "closed", "finished", "done", "read", "write", "big", "invalid"],
        [
            ("running", [wait, wait, wait, wait, u, c, big_u, inv_u]),
            ("closed", [wait, soon, wait, wait, u, c, big_u, inv_u]),
            ("finished", [wait, wait, wait, wait, u, c, big_u, inv_u]),
            ("done", [wait, wait, wait, end, u, c, big_u, inv_u]),
            ("read", [c, c, c, c, c, c, big_u, inv_u]),
            ("write", [u, u, u, u, u, u, big_u, inv_u]),
            ("big", [big_c, big_c, big_c, big_c, big_c, big_c, big_c, big_c]),
            ("invalid", [inv_c, inv_c, inv_c, inv_c, inv_c, inv_c, inv_c, inv_c]),
        ],
    );
}

#[test]
fn a_side_is_released_once_it_has_ended_and_everything_for_it_is_flushed() {
    let mut lifecycle = lifecycle(TunnelConfig::new());
    begin(&mut lifecycle, TunnelEnd::IdleTimeout);
    let wait = "wait 5";
    let [rel_c, rel_u, release] = ["release client", "release upstream", "release client+upstream"];
    let [aban_c, aban_u, abandon] = ["abandon client", "abandon upstream", "abandon client+upstream"];
    check(
        &lifecycle,
        ["running", "flushed", "closed", "closed+flushed", "done", "read", "write"],
        [
            ("running", [wait, wait, wait, wait, wait, aban_u, aban_c]),
            ("flushed", [wait, wait, rel_u, rel_u, rel_u, aban_u, aban_c]),
            ("closed", [wait, rel_c, wait, rel_c, rel_c, aban_u, aban_c]),
            ("closed+flushed", [wait, rel_c, rel_u, release, release, aban_u, aban_c]),
            ("done", [wait, rel_c, rel_u, release, release, aban_u, aban_c]),
            ("read", [aban_c, aban_c, aban_c, aban_c, aban_c, abandon, aban_c]),
            ("write", [aban_u, aban_u, aban_u, aban_u, aban_u, aban_u, abandon]),
        ],
    );
}

#[test]
fn a_side_that_is_over_needs_nothing_and_with_both_the_tunnel_ends() {
    let states = ["running", "flushed", "closed", "closed+flushed", "done", "read", "write"];
    for (client, upstream) in states.into_iter().flat_map(|a| states.map(|b| (a, b))) {
        let directions = Sides { client: status(client), upstream: status(upstream) };
        for side in Side::BOTH {
            let mut lifecycle = lifecycle(TunnelConfig::new());
            let mut both = begin(&mut lifecycle, TunnelEnd::IdleTimeout);
            lifecycle.abandon(Sides::from_fn(|over| over == side), &mut both);
            let next = words(&lifecycle.next(&directions, lifecycle.opened), &lifecycle);
            let other = side.other();
            let expected = ["wait 5".to_owned(), format!("abandon {other}"), format!("release {other}")];
            assert!(expected.contains(&next), "{next} after the end of the {side}");
            lifecycle.abandon(Sides::from_fn(|over| over == other), &mut both);
            let next = words(&lifecycle.next(&directions, lifecycle.opened), &lifecycle);
            assert_eq!(next, "end idle_timeout");
        }
    }
}

#[test]
fn decisions_are_the_same_with_the_sides_swapped() {
    let states = ["running", "closed", "closed+flushed", "flushed", "finished", "done"];
    let events = ["read", "write", "big", "invalid"];
    // In a pair with an event on either side, the client's counts.
    let pairs = states.into_iter().flat_map(|a| states.into_iter().chain(events).map(move |b| (a, b)));
    for (client, upstream) in pairs {
        for is_closing in [false, true] {
            let next = |client, upstream, first| {
                let mut lifecycle = lifecycle(TunnelConfig::new());
                lifecycle.first = Some(first);
                if is_closing {
                    begin(&mut lifecycle, TunnelEnd::LifetimeReached);
                }
                let directions = Sides { client: status(client), upstream: status(upstream) };
                words(&lifecycle.next(&directions, lifecycle.opened), &lifecycle)
            };
            let here = next(client, upstream, Side::Client);
            let there = next(upstream, client, Side::Upstream);
            assert_eq!(mirrored(&here), there, "{client}, {upstream}, closing: {is_closing}");
        }
    }
}

/// Starts a close handshake between two WebSocket sides.
fn begin(lifecycle: &mut Lifecycle, end: TunnelEnd) -> Sides<Direction> {
    let mut directions = Sides::from_fn(|side| {
        let mut direction = Direction::new(None);
        direction.follow(FrameRelay::new(side, Arc::clone(&lifecycle.config)));
        direction
    });
    lifecycle.close(end, &mut directions, lifecycle.opened).expect("a Close is queued");
    directions
}

fn request(lifecycle: &Lifecycle, at: u32, deadline: u32) -> Box<ShutdownRequest> {
    let [at, deadline] = [at, deadline].map(|seconds| lifecycle.opened + seconds * SECOND);
    Box::new(ShutdownRequest { at, deadline, close: CloseFrame::new(CloseCode::GOING_AWAY) })
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
    expect_at(60, "close idle_timeout", &open, &open, with(config()));
    expect_at(30, "close half_close_timeout", &half, &open, with(config()));
    expect_at(30, "close half_close_timeout", &half, &half, with(config()));
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
            let mut lifecycle = lifecycle(TunnelConfig::new());
            begin(&mut lifecycle, TunnelEnd::LifetimeReached);
            lifecycle
        });
        expect_at(40, "end drained_cut", &open, other, |_| {
            let mut lifecycle = lifecycle(TunnelConfig::new());
            lifecycle.shutdown_request = Some(request(&lifecycle, 0, 40));
            begin(&mut lifecycle, TunnelEnd::Drained);
            lifecycle
        });
    }
}
