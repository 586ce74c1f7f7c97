//! Frames and messages above the limits.

use test_support::websocket::frame::{BINARY, CLOSE, PING, TEXT, close_payload, frame};
use tower_upgrade_proxy::{Side, TunnelEnd};

use super::{Pair, clock::settle, config, each_way, no_close};

/// Larger than the warm-up that makes a direction bulk.
const LIMIT: usize = 256 * 1024;

async fn expect_relayed(pair: &mut Pair, first: u8, size: usize) {
    let payload = vec![5; size];
    let bytes = pair.near.frame(first, &payload);
    let Pair { near, far, .. } = pair;
    let ((), received) = tokio::join!(near.send(&bytes), far.next());
    let received = received.unwrap();
    assert!((received.first, received.payload) == (first, payload));
}

async fn expect_too_big(mut pair: Pair, messages: u64) {
    for peer in [&mut pair.near, &mut pair.far] {
        peer.expect(CLOSE, &close_payload(1009, "message too big")).await;
    }
    pair.near.close(1009).await;
    pair.near.expect_end().await;
    pair.far.close(1009).await;
    let ended = pair.end().await;
    let near = ended.near;
    assert!(matches!(ended.summary.end(), TunnelEnd::TooBig { side } if *side == near), "{ended:?}");
    assert_eq!((ended.codes(), ended.sent_by_near().0), ((1009, 1009), messages));
}

#[tokio::test(start_paused = true)]
async fn a_frame_at_the_limit_passes_and_one_above_it_is_rejected_completely() {
    each_way(config().max_frame_size(LIMIT as u64), async |mut pair| {
        expect_relayed(&mut pair, BINARY, LIMIT).await;
        expect_relayed(&mut pair, TEXT, LIMIT).await;
        // The number of frames is not limited.
        expect_relayed(&mut pair, TEXT & 0x7f, LIMIT).await;
        expect_relayed(&mut pair, 0x80, LIMIT).await;
        let too_big = pair.near.frame(BINARY, &[6; LIMIT + 1]);
        pair.near.send(&too_big).await;
        expect_too_big(pair, 4).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_message_limit_counts_data_frames_and_no_control_frames() {
    each_way(config().max_message_size(LIMIT as u64), async |mut pair| {
        for _ in 0..2 {
            expect_relayed(&mut pair, BINARY & 0x7f, LIMIT - 100_000).await;
            expect_relayed(&mut pair, PING, 125).await;
            expect_relayed(&mut pair, 0, 60_000).await;
            expect_relayed(&mut pair, 0x80, 40_000).await;
        }
        expect_relayed(&mut pair, BINARY & 0x7f, LIMIT).await;
        expect_relayed(&mut pair, PING, 125).await;
        expect_relayed(&mut pair, 0, 0).await;
        let too_big = pair.near.frame(0x80, b"x");
        pair.near.send(&too_big).await;
        expect_too_big(pair, 3).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_split_header_is_inspected_when_complete_and_earlier_frames_pass() {
    for side in [Side::Client, Side::Upstream] {
        let too_big = frame(side, BINARY, &[6; 300]);
        let header = too_big.len() - 300;
        for at in 0..=header {
            let config = config().max_frame_size(299).max_message_size(100_000);
            let other = if side == Side::Client { Side::Upstream } else { Side::Client };
            let mut pair = Pair::in_memory(side, other, &config);
            let before = pair.near.frame(TEXT, b"before");
            pair.near.send(&[&before, &too_big[..at]].concat()).await;
            settle().await;
            pair.near.send(&too_big[at..]).await;
            pair.far.expect(TEXT, b"before").await;
            expect_too_big(pair, 2).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_sender_of_a_frame_above_the_limit_gets_a_close_whatever_the_policy() {
    each_way(config().max_frame_size(LIMIT as u64).close_policy(no_close()), async |mut pair| {
        let too_big = pair.near.frame(BINARY, &[6; LIMIT + 1]);
        pair.near.send(&too_big[..20]).await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        pair.near.expect_close(1009).await;
        pair.near.finish().await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::TooBig { .. }), "{ended:?}");
        assert_eq!(ended.sent_by_near(), (0, 0));
    })
    .await;
}
