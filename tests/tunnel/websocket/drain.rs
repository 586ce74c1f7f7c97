//! Tunnels that are drained.

use test_support::websocket::frame::{BINARY, CLOSE, TEXT, close_payload};
use tower_upgrade_proxy::{CloseCode, CloseFrame, TunnelEnd, TunnelState};

use super::{
    MILLISECOND, Pair,
    clock::{advance, frozen},
    config, each_way, seconds,
};

pub(super) fn restart() -> CloseFrame {
    CloseFrame::new(CloseCode::SERVICE_RESTART).with_reason("deploy")
}

pub(super) fn has_reason(ended: &super::Ended, reason: &str) -> bool {
    ended.summary.end().reason() == reason
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_sends_a_close_to_both_sides_and_ends_each_once_it_answers() {
    each_way(config(), async |mut pair| {
        pair.handle.end(restart(), seconds(30));
        pair.near.expect(CLOSE, &close_payload(1012, "deploy")).await;
        pair.far.expect(CLOSE, &close_payload(1012, "deploy")).await;
        assert_eq!(pair.handle.state(), TunnelState::Closing);
        advance(seconds(10)).await;
        pair.near.expect_quiet().await;
        pair.near.close(1012).await;
        pair.near.expect_end().await;
        pair.far.expect_quiet().await;
        advance(seconds(10)).await;
        // The end of the connection is an answer as well.
        pair.far.finish().await;
        pair.far.expect_end().await;
        let ended = pair.summary().await;
        assert!(has_reason(&ended, "drained"), "{ended:?}");
        assert!(ended.summary.end().is_orderly());
        assert_eq!((ended.codes(), ended.sent_by_near()), ((1012, 1006), (0, 0)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connections_open_at_the_end_of_the_grace_are_aborted() {
    each_way(config(), async |mut pair| {
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        pair.far.expect_close(1012).await;
        pair.near.close(1012).await;
        pair.near.expect_end().await;
        advance(seconds(30) - MILLISECOND).await;
        assert!(!pair.is_finished());
        advance(MILLISECOND).await;
        let ended = pair.end().await;
        assert!(has_reason(&ended, "drain_timeout"), "{ended:?}");
        assert_eq!((ended.codes(), ended.summary.end().is_orderly()), ((1012, 1006), false));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_close_is_sent_even_without_a_grace() {
    each_way(config(), async |mut pair| {
        pair.handle.end(restart(), seconds(0));
        pair.near.expect_close(1012).await;
        pair.far.expect_close(1012).await;
        assert!(has_reason(&pair.end().await, "drain_timeout"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_close_is_sent_after_the_current_frame() {
    let payload: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let sizes = [(1000, 1), (1000, 3), (1000, 8), (1000, 500), (1_000_000, 600_000)];
    for ((size, sent), withholds) in sizes.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        let most = withholds.then_some(u64::MAX);
        each_way(config().max_frame_size(most), async |mut pair| {
            let frame = pair.near.frame(BINARY, &payload[..size]);
            let Pair { near, far, .. } = &mut pair;
            // With a size limit, an incomplete header is withheld.
            let has_begun = !withholds || sent >= frame.len() - size;
            let relayed = if has_begun { sent } else { 0 };
            let ((), received) = tokio::join!(near.send(&frame[..sent]), far.bytes(relayed));
            assert!(received == frame[..relayed]);
            pair.handle.end(restart(), seconds(30));
            pair.near.expect_close(1012).await;
            if !has_begun {
                pair.far.expect_close(1012).await;
                pair.near.send(&frame[sent..]).await;
            } else {
                pair.far.expect_quiet().await;
                let Pair { near, far, .. } = &mut pair;
                let ((), rest) = tokio::join!(near.send(&frame[sent..]), far.bytes(frame.len() - sent));
                assert!(rest == frame[sent..]);
                pair.far.expect(CLOSE, &close_payload(1012, "deploy")).await;
                pair.near.send_frame(TEXT, b"too late").await;
                pair.far.expect_quiet().await;
            }
            pair.near.close(1012).await;
            pair.far.close(1012).await;
            let ended = pair.end().await;
            assert!(has_reason(&ended, "drained"), "{ended:?}");
            assert_eq!(ended.sent_by_near().1, if has_begun { frame.len() as u64 } else { 0 });
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_follows_the_bytes_pending_for_a_blocked_writer() {
    each_way(config(), async |mut pair| {
        let mut flood = Vec::new();
        for number in 0..40_000_u32 {
            flood.extend(pair.near.frame(TEXT, number.to_string().repeat(20).as_bytes()));
        }
        let taken = pair.near.flood(&flood).await;
        assert!(taken < flood.len(), "the writer is not blocked");
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        let Pair { near, far, .. } = &mut pair;
        let read = async {
            for number in 0_u32.. {
                let frame = far.next().await.unwrap();
                if frame.first != TEXT {
                    assert_eq!((frame.first, frame.payload), (CLOSE, close_payload(1012, "deploy")));
                    break;
                }
                assert_eq!(frame.payload, number.to_string().repeat(20).as_bytes());
            }
        };
        tokio::join!(near.send(&flood[taken..]), read);
        pair.far.close(1012).await;
        pair.near.close(1012).await;
        let ended = pair.end().await;
        assert!(has_reason(&ended, "drained"), "{ended:?}");
        // The frames after the Close were discarded.
        assert!(ended.sent_by_near().1 < flood.len() as u64);
        assert_eq!(ended.sent_by_near().0, 40_000);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_blocked_side_is_aborted_at_the_end_of_the_grace() {
    each_way(config(), async |mut pair| {
        let flood = pair.near.frame(BINARY, &[1; 3_000_000]);
        assert!(pair.near.flood(&flood).await < flood.len());
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        advance(seconds(30)).await;
        let ended = frozen(pair.tunnel).await.unwrap();
        assert!(matches!(ended.end(), TunnelEnd::DrainTimeout), "{ended:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_side_gets_one_close_when_closes_cross() {
    // The shutdown request comes first.
    each_way(config(), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.close(3000).await;
        pair.handle.end(restart(), seconds(30));
        for peer in [&mut pair.near, &mut pair.far] {
            assert_eq!(peer.next().await.unwrap().first, CLOSE);
            peer.expect_end().await;
        }
        let ended = pair.summary().await;
        assert!(has_reason(&ended, "drained"), "{ended:?}");
        assert_eq!(ended.codes(), (1000, 3000));
    })
    .await;
    // Both have sent a Close, and neither has ended its connection.
    each_way(config(), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        pair.far.close(3000).await;
        pair.near.expect_close(3000).await;
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_end().await;
        pair.far.expect_end().await;
        assert!(has_reason(&pair.summary().await, "drained"));
    })
    .await;
    // One has sent a Close.
    each_way(config(), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        pair.near.expect_end().await;
        pair.far.expect_quiet().await;
        pair.far.close(1000).await;
        pair.far.expect_end().await;
        let ended = pair.summary().await;
        assert!(has_reason(&ended, "drained"), "{ended:?}");
        assert_eq!(ended.codes(), (1000, 1000));
    })
    .await;
}
