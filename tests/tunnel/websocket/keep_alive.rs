//! Pings of our own. `near` is the side that is pinged, after 20 s; it has 10 s to answer.

use std::time::Duration;

use tower_upgrade_proxy::{Closes, KeepAlive, Side, TunnelConfig, TunnelEnd};

use super::{
    MOMENT, Pair, config, from,
    peer::{BINARY, PING, PONG, TEXT, pass, settle},
    seconds,
};

fn keep_alive(side: Side, interval: Duration) -> KeepAlive {
    let keep_alive = KeepAlive::new().timeout(seconds(10));
    match side {
        Side::Client => keep_alive.client(interval),
        Side::Upstream => keep_alive.upstream(interval),
    }
}

async fn pinging(change: impl Fn(TunnelConfig) -> TunnelConfig, scenario: impl AsyncFn(Pair)) {
    for near in [Side::Client, Side::Upstream] {
        from(near, change(config().keep_alive(keep_alive(near, seconds(20)))), &scenario).await;
    }
}

/// The Ping that has come to `near`.
async fn ping(pair: &mut Pair) -> Vec<u8> {
    let ping = pair.near.next().await.unwrap();
    assert_eq!((ping.first, ping.payload.len()), (PING, 8));
    ping.payload
}

/// Time in which a side that does not answer would be given up several times.
async fn long() {
    for _ in 0..20 {
        pass(seconds(5)).await;
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
async fn a_quiet_side_is_pinged_and_only_its_answer_to_that_is_not_passed_on() {
    pinging(
        |config| config,
        async |mut pair| {
            for round in 0..3 {
                pass(seconds(20) - MOMENT).await;
                pair.near.expect_quiet().await;
                pass(MOMENT).await;
                let payload = ping(&mut pair).await;
                pair.near.say(PONG, &payload).await;
                if round == 1 {
                    pair.near.say(PONG, b"unasked!").await;
                    pair.near.say(PONG, &[&payload[..], b"+"].concat()).await;
                    pair.near.say(PING, &payload).await;
                    pair.far.expect(PONG, b"unasked!").await;
                    pair.far.expect(PONG, &[&payload[..], b"+"].concat()).await;
                    pair.far.expect(PING, &payload).await;
                    pair.far.say(PONG, &payload).await;
                    pair.near.expect(PONG, &payload).await;
                }
                settle().await;
            }
            pair.far.expect_quiet().await;
            pair.near.close(1000).await;
            pair.far.expect_close(1000).await;
            pair.near.finish().await;
            pair.far.finish().await;
            let ended = pair.summary().await;
            let masked = if ended.near == Side::Client { 4 } else { 0 };
            let theirs = [8, 9, 8, 2].map(|payload| 2 + masked + payload);
            assert_eq!(ended.sent_by_near(), (0, theirs.iter().sum()), "our own pongs don't count");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_pieces_is_not_passed_on_either() {
    pinging(
        |config| config,
        async |mut pair| {
            let mut at = 1;
            loop {
                pass(seconds(20)).await;
                let payload = ping(&mut pair).await;
                let pong = pair.near.frame(PONG, &payload);
                if at == pong.len() {
                    break;
                }
                pair.near.send(&pong[..at]).await;
                pair.far.expect_quiet().await;
                let behind = pair.near.frame(TEXT, &[at as u8]);
                pair.near.send(&[&pong[at..], &behind].concat()).await;
                pair.far.expect(TEXT, &[at as u8]).await;
                at += 1;
            }
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_sends_is_not_pinged_and_one_that_only_receives_is() {
    pinging(
        |config| config,
        async |mut pair| {
            for _ in 0..5 {
                pass(seconds(19)).await;
                pair.near.say(TEXT, b"busy").await;
                pair.far.expect(TEXT, b"busy").await;
            }
            pair.near.expect_quiet().await;
            for _ in 0..3 {
                pass(seconds(6)).await;
                pair.far.say(TEXT, b"news").await;
                pair.near.expect(TEXT, b"news").await;
            }
            pass(seconds(2)).await;
            ping(&mut pair).await;
        },
    )
    .await;
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
                assert!(!pair.is_finished());
                pass(seconds(20)).await;
                pass(seconds(10) - MOMENT).await;
                assert!(!pair.is_finished());
                pass(MOMENT).await;
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
        |config| config.closes(Closes::none()),
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

#[tokio::test(start_paused = true)]
async fn no_ping_is_put_into_a_frame() {
    pinging(
        |config| config,
        async |mut pair| {
            let frame = pair.far.frame(TEXT, &[b'x'; 400]);
            pair.far.send(&frame[..200]).await;
            assert_eq!(pair.near.bytes(200).await, frame[..200]);
            pass(seconds(20)).await;
            pass(seconds(15)).await;
            pair.near.expect_quiet().await;
            pair.far.send(&frame[200..]).await;
            assert_eq!(pair.near.bytes(frame.len() - 200).await, frame[200..]);
            pass(seconds(5)).await;
            ping(&mut pair).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_nothing_is_a_short_one() {
    for near in [Side::Client, Side::Upstream] {
        from(near, config().keep_alive(keep_alive(near, Duration::ZERO)), async |mut pair| {
            pass(MOMENT).await;
            let payload = ping(&mut pair).await;
            pair.near.say(PONG, &payload).await;
            // Within a frame none can be sent, and none is tried all the time.
            let frame = pair.far.frame(TEXT, &[b'x'; 400]);
            pair.far.send(&frame[..200]).await;
            settle().await;
            let polls = pair.polls();
            pass(MOMENT).await;
            assert!(pair.polls() - polls < 5);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_keep_the_idle_timeout_from_running_out() {
    pinging(
        |config| config.idle_timeout(seconds(25)),
        async |mut pair| {
            for _ in 0..10 {
                pass(seconds(20)).await;
                let payload = ping(&mut pair).await;
                pair.near.say(PONG, &payload).await;
                settle().await;
            }
            // The Ping is none of theirs.
            pass(seconds(20)).await;
            ping(&mut pair).await;
            pass(seconds(5)).await;
            pair.far.expect_close(1001).await;
            pair.near.expect_close(1001).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_side_has_its_own_interval() {
    let both = KeepAlive::new().client(seconds(20)).upstream(seconds(30)).timeout(seconds(10));
    from(Side::Client, config().keep_alive(both), async |mut pair| {
        pass(seconds(20)).await;
        let payload = ping(&mut pair).await;
        pair.near.say(PONG, &payload).await;
        pass(seconds(10)).await;
        let ping = pair.far.next().await.unwrap();
        assert!(ping.first == PING && ping.payload != payload);
        // What answers the other's Ping is no answer to ours.
        pair.near.say(PONG, &ping.payload).await;
        pair.far.expect(PONG, &ping.payload).await;
        pair.far.say(PONG, &ping.payload).await;
        pair.near.expect_quiet().await;
    })
    .await;
}
