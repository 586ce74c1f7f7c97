//! Sides that do not answer Pings, and sides that are merely slow. `near` is the side that is pinged.

use std::time::Duration;

use test_support::websocket::frame::{BINARY, PING, PONG, TEXT};
use tower_upgrade_proxy::{Side, TunnelEnd};

use super::{
    MILLISECOND, Pair,
    clock::{advance, advance_now, settle},
    keep_alive::{ping, pinging},
    no_close, seconds,
};

/// Advances the clock by several times the interval and the timeout.
async fn advance_long() {
    for _ in 0..20 {
        advance(seconds(5)).await;
    }
}

/// Advances the clock by these times in turn, while `near` takes no byte. The system may move bytes in its
/// buffers some milliseconds of real time after the last read: then the times start again.
async fn advance_without_reads(pair: &Pair, times: &[Duration]) {
    'again: loop {
        settle().await;
        let taken = pair.taken_by_near();
        for time in times {
            assert!(!pair.is_finished());
            advance_now(*time).await;
            if pair.taken_by_near() != taken {
                continue 'again;
            }
        }
        return;
    }
}

async fn expect_timeout(mut pair: Pair) {
    let (near, code) = match pair.near.side {
        Side::Client => (Side::Client, 1001),
        Side::Upstream => (Side::Upstream, 1011),
    };
    pair.far.expect_close(code).await;
    assert!(!pair.is_finished());
    pair.far.finish().await;
    let summary = super::frozen(pair.tunnel).await.unwrap();
    assert!(matches!(summary.end(), TunnelEnd::KeepAliveTimeout { side } if *side == near), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_answer_ends_the_tunnel_after_interval_and_timeout() {
    pinging(
        |config| config.idle_timeout(seconds(60)),
        async |mut pair| {
            advance(seconds(20)).await;
            ping(&mut pair).await;
            advance(seconds(5)).await;
            // Bytes of the other side do not count.
            pair.far.send_frame(TEXT, b"hello?").await;
            pair.near.expect(TEXT, b"hello?").await;
            advance(seconds(5) - MILLISECOND).await;
            assert!(!pair.is_finished());
            pair.far.expect_quiet().await;
            advance(MILLISECOND).await;
            expect_timeout(pair).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_relayed_ping_replaces_a_ping_of_the_proxy() {
    pinging(
        |config| config,
        async |mut pair| {
            advance(seconds(5)).await;
            pair.far.send_frame(PING, b"there?").await;
            pair.near.expect(PING, b"there?").await;
            advance(seconds(9)).await;
            pair.near.send_frame(PONG, b"there?").await;
            pair.far.expect(PONG, b"there?").await;
            advance(seconds(15)).await;
            pair.near.expect_quiet().await;
            pair.far.send_frame(PING, b"still?").await;
            pair.near.expect(PING, b"still?").await;
            advance(seconds(10) - MILLISECOND).await;
            pair.near.expect_quiet().await;
            pair.far.expect_quiet().await;
            advance(MILLISECOND).await;
            expect_timeout(pair).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_times_out_and_a_slow_one_does_not() {
    for frames in [1, 40] {
        pinging(
            |config| config,
            async |mut pair| {
                let flood = pair.far.frame(BINARY, &vec![3; 6_000_000 / frames]).repeat(frames);
                let mut taken = pair.far.flood(&flood).await;
                for _ in 0..15 {
                    advance(seconds(9)).await;
                    assert!(taken < flood.len());
                    pair.near.bytes(if pair.bulk { 150_000 } else { 10_000 }).await;
                    taken += pair.far.flood(&flood[taken..]).await;
                }
                advance_without_reads(&pair, &[seconds(20), seconds(10) - MILLISECOND, MILLISECOND]).await;
                expect_timeout(pair).await;
            },
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_does_not_time_out_while_the_other_does_not_read() {
    pinging(
        |config| config,
        async |mut pair| {
            let flood = pair.near.frame(BINARY, &[3; 3_000_000]);
            let taken = pair.near.flood(&flood).await;
            assert!(taken < flood.len());
            for _ in 0..10 {
                advance(seconds(20)).await;
                assert!(!pair.is_finished());
            }
            let Pair { near, far, .. } = &mut pair;
            let ((), received) = tokio::join!(near.send(&flood[taken..]), far.next());
            assert_eq!(received.unwrap().payload.len(), 3_000_000);
            settle().await;
            assert!(!pair.is_finished());
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_has_finished_or_closed_is_not_pinged() {
    pinging(
        |config| config,
        async |mut pair| {
            pair.near.close(1000).await;
            pair.far.expect_close(1000).await;
            advance_long().await;
            pair.near.expect_quiet().await;
            pair.near.finish().await;
            advance_long().await;
            pair.near.expect_quiet().await;
            assert!(!pair.is_finished());
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_cannot_be_pinged_does_not_time_out() {
    pinging(
        |config| config.close_policy(no_close()),
        async |mut pair| {
            pair.far.finish().await;
            pair.near.expect_end().await;
            advance_long().await;
            assert!(!pair.is_finished());
            pair.near.send_frame(TEXT, b"still here").await;
            pair.far.expect(TEXT, b"still here").await;
        },
    )
    .await;
    pinging(
        |config| config,
        async |mut pair| {
            pair.far.close(1000).await;
            pair.near.expect_close(1000).await;
            advance_long().await;
            pair.near.expect_quiet().await;
            assert!(!pair.is_finished());
        },
    )
    .await;
}
