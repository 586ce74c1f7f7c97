//! Pings of both sides before the idle timeout.

use test_support::websocket::frame::{PING, PONG, TEXT};
use tower_upgrade_proxy::{KeepAlive, TunnelConfig, TunnelEnd};

use super::{MILLISECOND, Pair, clock::advance, config, each_way, peer::Peer, seconds};

fn probing() -> TunnelConfig {
    config().idle_timeout(seconds(60)).idle_probe()
}

/// The Ping that a side receives.
async fn ping(peer: &mut Peer) -> Vec<u8> {
    let ping = peer.next().await.unwrap();
    assert_eq!((ping.first, ping.payload.len()), (PING, 8));
    ping.payload
}

async fn pings(pair: &mut Pair) -> [Vec<u8>; 2] {
    [ping(&mut pair.near).await, ping(&mut pair.far).await]
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_stays_open_as_long_as_one_side_answers() {
    each_way(probing(), async |mut pair| {
        for _ in 0..5 {
            advance(seconds(45) - MILLISECOND).await;
            pair.near.expect_quiet().await;
            advance(MILLISECOND).await;
            let [tag, _] = pings(&mut pair).await;
            advance(seconds(15) - MILLISECOND).await;
            pair.near.send_frame(PONG, &tag).await;
            pair.far.expect_quiet().await;
        }
        pair.near.send_frame(TEXT, b"alive").await;
        pair.far.expect(TEXT, b"alive").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_idle_timeout_is_the_same() {
    each_way(probing(), async |mut pair| {
        advance(seconds(45)).await;
        pings(&mut pair).await;
        advance(seconds(15) - MILLISECOND).await;
        pair.near.expect_quiet().await;
        pair.far.expect_quiet().await;
        advance(MILLISECOND).await;
        for peer in [&mut pair.near, &mut pair.far] {
            peer.expect_close(1001).await;
            peer.close(1001).await;
        }
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_busy_tunnel_gets_no_pings() {
    each_way(probing(), async |mut pair| {
        for _ in 0..10 {
            advance(seconds(40)).await;
            pair.near.send_frame(TEXT, b"busy").await;
            pair.far.expect(TEXT, b"busy").await;
            pair.near.expect_quiet().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_within_a_frame_or_after_its_close_is_not_probed() {
    each_way(probing(), async |mut pair| {
        let frame = pair.near.frame(TEXT, b"unfinished");
        pair.near.send(&frame[..frame.len() - 1]).await;
        assert_eq!(pair.far.bytes(frame.len() - 1).await, frame[..frame.len() - 1]);
        advance(seconds(45)).await;
        let tag = ping(&mut pair.near).await;
        pair.far.expect_quiet().await;
        pair.near.send(&frame[frame.len() - 1..]).await;
        pair.far.bytes(1).await;
        pair.near.send_frame(PONG, &tag).await;
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        advance(seconds(45)).await;
        pair.near.expect_quiet().await;
        pair.far.expect_quiet().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_of_the_keep_alive_gets_its_pings_only() {
    let keep_alive = KeepAlive::new().client(seconds(50)).upstream(seconds(50)).timeout(seconds(100));
    each_way(probing().keep_alive(keep_alive), async |mut pair| {
        advance(seconds(45)).await;
        pair.near.expect_quiet().await;
        pair.far.expect_quiet().await;
        advance(seconds(5)).await;
        pings(&mut pair).await;
    })
    .await;
}
