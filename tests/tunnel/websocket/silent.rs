//! Sides that are dead, and some that only seem to be. `near` is the side that is pinged.

use std::time::Duration;

use tower_upgrade_proxy::{ClosePolicy, Side, TunnelEnd};

use super::{
    MOMENT, Pair,
    keep_alive::{ping, pinging},
    moments::{pass, pass_at_once, settle},
    peer::{BINARY, PING, PONG, TEXT},
    seconds,
};

/// Time in which a side that does not answer would be given up several times.
async fn long() {
    for _ in 0..20 {
        pass(seconds(5)).await;
    }
}

/// Lets these times pass one after the other, all of them without a byte that `near` takes. The system
/// may move what is in its buffers some of its own milliseconds after the last was read.
async fn untaken(pair: &Pair, times: &[Duration]) {
    'again: loop {
        settle().await;
        let taken = pair.taken_by_near();
        for time in times {
            assert!(!pair.is_finished());
            pass_at_once(*time).await;
            if pair.taken_by_near() != taken {
                continue 'again;
            }
        }
        return;
    }
}

async fn expect_dead(mut pair: Pair) {
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
async fn a_side_that_does_not_answer_is_dead_after_interval_and_timeout() {
    pinging(
        |config| config.idle_timeout(seconds(60)),
        async |mut pair| {
            pass(seconds(20)).await;
            ping(&mut pair).await;
            pass(seconds(5)).await;
            // It is not the other side's life that counts.
            pair.far.say(TEXT, b"hello?").await;
            pair.near.expect(TEXT, b"hello?").await;
            pass(seconds(5) - MOMENT).await;
            assert!(!pair.is_finished());
            pair.far.expect_quiet().await;
            pass(MOMENT).await;
            expect_dead(pair).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_the_other_side_is_as_good_as_ours() {
    pinging(
        |config| config,
        async |mut pair| {
            pass(seconds(5)).await;
            pair.far.say(PING, b"there?").await;
            pair.near.expect(PING, b"there?").await;
            pass(seconds(9)).await;
            pair.near.say(PONG, b"there?").await;
            pair.far.expect(PONG, b"there?").await;
            pass(seconds(15)).await;
            pair.near.expect_quiet().await;
            pair.far.say(PING, b"still?").await;
            pair.near.expect(PING, b"still?").await;
            pass(seconds(10) - MOMENT).await;
            pair.near.expect_quiet().await;
            pair.far.expect_quiet().await;
            pass(MOMENT).await;
            expect_dead(pair).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_dead_when_it_takes_nothing_and_not_when_it_is_slow() {
    for frames in [1, 40] {
        pinging(
            |config| config,
            async |mut pair| {
                let flood = pair.far.frame(BINARY, &vec![3; 6_000_000 / frames]).repeat(frames);
                let mut taken = pair.far.flood(&flood).await;
                for _ in 0..15 {
                    pass(seconds(9)).await;
                    assert!(taken < flood.len());
                    pair.near.bytes(if pair.bulk { 150_000 } else { 10_000 }).await;
                    taken += pair.far.flood(&flood[taken..]).await;
                }
                untaken(&pair, &[seconds(20), seconds(10) - MOMENT, MOMENT]).await;
                expect_dead(pair).await;
            },
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_is_not_dead_because_the_other_does_not_read() {
    pinging(
        |config| config,
        async |mut pair| {
            let flood = pair.near.frame(BINARY, &[3; 3_000_000]);
            let taken = pair.near.flood(&flood).await;
            assert!(taken < flood.len());
            for _ in 0..10 {
                pass(seconds(20)).await;
                assert!(!pair.is_finished());
            }
            let Pair { near, far, .. } = &mut pair;
            let ((), came) = tokio::join!(near.send(&flood[taken..]), far.next());
            assert_eq!(came.unwrap().payload.len(), 3_000_000);
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
            long().await;
            pair.near.expect_quiet().await;
            pair.near.finish().await;
            long().await;
            pair.near.expect_quiet().await;
            assert!(!pair.is_finished());
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_can_be_told_nothing_more_is_not_dead() {
    pinging(
        |config| config.close_policy(ClosePolicy::none()),
        async |mut pair| {
            pair.far.finish().await;
            pair.near.expect_end().await;
            long().await;
            assert!(!pair.is_finished());
            pair.near.say(TEXT, b"still here").await;
            pair.far.expect(TEXT, b"still here").await;
        },
    )
    .await;
    pinging(
        |config| config,
        async |mut pair| {
            pair.far.close(1000).await;
            pair.near.expect_close(1000).await;
            long().await;
            pair.near.expect_quiet().await;
            assert!(!pair.is_finished());
        },
    )
    .await;
}
