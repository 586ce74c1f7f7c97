//! Decisions for all pairs of direction states.

use std::task::Waker;

use super::*;

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
    let mut lifecycle = closing_both();
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
fn a_side_without_a_close_is_shut_down_behind_the_messages_of_both_directions() {
    let mut lifecycle = closing_neither();
    begin(&mut lifecycle, TunnelEnd::Drained);
    let wait = "wait 5";
    let [end_c, end_u, end] = ["shut down client", "shut down upstream", "shut down client+upstream"];
    let [rel_c, rel_u, release] = ["release client", "release upstream", "release client+upstream"];
    check(
        &lifecycle,
        ["running", "flushed", "flushed, within a message", "closed", "closed+flushed"],
        [
            ("running", [wait, end_c, end_c, wait, end_c]),
            ("flushed", [end_u, end, end_c, rel_u, rel_u]),
            ("flushed, within a message", [end_u, end_u, wait, rel_u, rel_u]),
            ("closed", [wait, rel_c, rel_c, wait, rel_c]),
            ("closed+flushed", [end_u, rel_c, rel_c, rel_u, release]),
        ],
    );
}

#[test]
fn a_side_that_is_shut_down_is_waited_for() {
    let mut lifecycle = closing_neither();
    let both = begin(&mut lifecycle, TunnelEnd::Drained);
    let (mut client, mut upstream) = (tokio::io::sink(), tokio::io::sink());
    let connections = Sides { client: &mut client as _, upstream: &mut upstream as _ };
    let cx = &mut Context::from_waker(Waker::noop());
    lifecycle.shut_down(Sides { client: true, upstream: true }, cx, connections, lifecycle.opened);
    drop(both);
    check(
        &lifecycle,
        ["flushed", "closed+flushed"],
        [
            ("flushed", ["wait 5", "release upstream"]),
            ("closed+flushed", ["release client", "release client+upstream"]),
        ],
    );
}

#[test]
fn a_side_that_is_over_needs_nothing_and_with_both_the_tunnel_ends() {
    let states = ["running", "flushed", "closed", "closed+flushed", "done", "read", "write"];
    for (client, upstream) in states.into_iter().flat_map(|a| states.map(|b| (a, b))) {
        let directions = Sides { client: status(client), upstream: status(upstream) };
        for side in Side::BOTH {
            let mut lifecycle = closing_both();
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
fn a_released_side_is_abandoned_once_if_it_fails() {
    let mut lifecycle = closing_both();
    let mut both = begin(&mut lifecycle, TunnelEnd::IdleTimeout);
    let (mut client, mut upstream) = (tokio::io::sink(), tokio::io::sink());
    let connections = Sides { client: &mut client as _, upstream: &mut upstream as _ };
    let cx = &mut Context::from_waker(Waker::noop());
    lifecycle.release(Sides { client: true, upstream: false }, cx, connections, &mut both);
    let directions = Sides { client: status("read"), upstream: running() };
    let next = |lifecycle: &Lifecycle| words(&lifecycle.next(&directions, lifecycle.opened), lifecycle);
    assert_eq!(next(&lifecycle), "abandon client");
    lifecycle.abandon(Sides { client: true, upstream: false }, &mut both);
    assert_eq!(next(&lifecycle), "wait 5");
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
                let mut lifecycle = closing_both();
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
