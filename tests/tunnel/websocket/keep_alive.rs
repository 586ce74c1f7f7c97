//! Pings of our own. `near` is the side that is pinged, after 20 s; it has 10 s to answer.

use std::time::Duration;

use tower_upgrade_proxy::{KeepAlive, Side, TunnelConfig};

use super::{
    MOMENT, Pair, config, from,
    moments::{pass, settle},
    peer::{PING, PONG, TEXT},
    seconds,
};

fn keep_alive(side: Side, interval: Duration) -> KeepAlive {
    let keep_alive = KeepAlive::new().timeout(seconds(10));
    match side {
        Side::Client => keep_alive.client(interval),
        Side::Upstream => keep_alive.upstream(interval),
    }
}

pub(super) async fn pinging(change: impl Fn(TunnelConfig) -> TunnelConfig, scenario: impl AsyncFn(Pair)) {
    for near in [Side::Client, Side::Upstream] {
        from(near, change(config().keep_alive(keep_alive(near, seconds(20)))), &scenario).await;
    }
}

/// The Ping that has come to `near`.
pub(super) async fn ping(pair: &mut Pair) -> Vec<u8> {
    let ping = pair.near.next().await.unwrap();
    assert_eq!((ping.first, ping.payload.len()), (PING, 8));
    ping.payload
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
