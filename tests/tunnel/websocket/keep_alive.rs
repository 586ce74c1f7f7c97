//! Pings of the proxy. `near` is the side that is pinged, after 20 s, with a timeout of 10 s.

use std::time::Duration;

use test_support::websocket::frame::{PING, PONG, TEXT};
use tower_upgrade_proxy::{KeepAlive, Side, TunnelConfig};

use super::{
    MILLISECOND, Pair,
    clock::{advance, settle},
    config, from, seconds,
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

/// The Ping that `near` receives.
pub(super) async fn ping(pair: &mut Pair) -> Vec<u8> {
    let ping = pair.near.next().await.unwrap();
    assert_eq!((ping.first, ping.payload.len()), (PING, 8));
    ping.payload
}

#[tokio::test(start_paused = true)]
async fn an_idle_side_is_pinged_and_only_the_pong_to_that_is_dropped() {
    pinging(
        |config| config,
        async |mut pair| {
            for round in 0..3 {
                advance(seconds(20) - MILLISECOND).await;
                pair.near.expect_quiet().await;
                advance(MILLISECOND).await;
                let payload = ping(&mut pair).await;
                pair.near.send_frame(PONG, &payload).await;
                if round == 1 {
                    pair.near.send_frame(PONG, b"unasked!").await;
                    pair.near.send_frame(PONG, &[&payload[..], b"+"].concat()).await;
                    pair.near.send_frame(PING, &payload).await;
                    pair.far.expect(PONG, b"unasked!").await;
                    pair.far.expect(PONG, &[&payload[..], b"+"].concat()).await;
                    pair.far.expect(PING, &payload).await;
                    pair.far.send_frame(PONG, &payload).await;
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
            let relayed = [8, 9, 8, 2].map(|payload| 2 + masked + payload);
            assert_eq!(ended.sent_by_near(), (0, relayed.iter().sum()), "dropped pongs are not counted");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pong_in_several_writes_is_dropped() {
    pinging(
        |config| config,
        async |mut pair| {
            let mut at = 1;
            loop {
                advance(seconds(20)).await;
                let payload = ping(&mut pair).await;
                let pong = pair.near.frame(PONG, &payload);
                if at == pong.len() {
                    break;
                }
                pair.near.send(&pong[..at]).await;
                pair.far.expect_quiet().await;
                let next = pair.near.frame(TEXT, &[at as u8]);
                pair.near.send(&[&pong[at..], &next].concat()).await;
                pair.far.expect(TEXT, &[at as u8]).await;
                at += 1;
            }
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_only_receives_is_pinged_and_one_that_sends_is_not() {
    pinging(
        |config| config,
        async |mut pair| {
            for _ in 0..5 {
                advance(seconds(19)).await;
                pair.near.send_frame(TEXT, b"busy").await;
                pair.far.expect(TEXT, b"busy").await;
            }
            pair.near.expect_quiet().await;
            for _ in 0..3 {
                advance(seconds(6)).await;
                pair.far.send_frame(TEXT, b"news").await;
                pair.near.expect(TEXT, b"news").await;
            }
            advance(seconds(2)).await;
            ping(&mut pair).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_ping_is_injected_into_a_frame() {
    pinging(
        |config| config,
        async |mut pair| {
            let frame = pair.far.frame(TEXT, &[b'x'; 400]);
            pair.far.send(&frame[..200]).await;
            assert_eq!(pair.near.bytes(200).await, frame[..200]);
            advance(seconds(20)).await;
            advance(seconds(15)).await;
            pair.near.expect_quiet().await;
            pair.far.send(&frame[200..]).await;
            assert_eq!(pair.near.bytes(frame.len() - 200).await, frame[200..]);
            advance(seconds(5)).await;
            ping(&mut pair).await;
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_is_raised_to_the_minimum() {
    for near in [Side::Client, Side::Upstream] {
        from(near, config().keep_alive(keep_alive(near, Duration::ZERO)), async |mut pair| {
            advance(MILLISECOND).await;
            let payload = ping(&mut pair).await;
            pair.near.send_frame(PONG, &payload).await;
            // Within a frame no Ping can be sent, and the tunnel does not poll for one.
            let frame = pair.far.frame(TEXT, &[b'x'; 400]);
            pair.far.send(&frame[..200]).await;
            settle().await;
            let polls = pair.polls();
            advance(MILLISECOND).await;
            assert!(pair.polls() - polls < 5);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn pongs_restart_the_idle_timeout() {
    pinging(
        |config| config.idle_timeout(seconds(25)),
        async |mut pair| {
            for _ in 0..10 {
                advance(seconds(20)).await;
                let payload = ping(&mut pair).await;
                pair.near.send_frame(PONG, &payload).await;
                settle().await;
            }
            // The Ping itself does not restart the timeout.
            advance(seconds(20)).await;
            ping(&mut pair).await;
            advance(seconds(5)).await;
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
        advance(seconds(20)).await;
        let payload = ping(&mut pair).await;
        pair.near.send_frame(PONG, &payload).await;
        advance(seconds(10)).await;
        let ping = pair.far.next().await.unwrap();
        assert!(ping.first == PING && ping.payload != payload);
        // The Pong to the Ping of the other side is relayed.
        pair.near.send_frame(PONG, &ping.payload).await;
        pair.far.expect(PONG, &ping.payload).await;
        pair.far.send_frame(PONG, &ping.payload).await;
        pair.near.expect_quiet().await;
    })
    .await;
}
