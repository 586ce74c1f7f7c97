//! Tunnels that are told to end.

use tower_upgrade_proxy::{CloseCode, CloseFrame, TunnelEnd, TunnelState};

use super::{
    MOMENT, Pair, config, each_way,
    moments::{frozen, pass},
    peer::{BINARY, CLOSE, TEXT, closing},
    seconds,
};

pub(super) fn restart() -> CloseFrame {
    CloseFrame::new(CloseCode::SERVICE_RESTART).with_reason("deploy")
}

pub(super) fn has_reason(ended: &super::Ended, reason: &str) -> bool {
    ended.summary.end().reason() == reason
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_quiet_tunnel_are_told_at_once_and_let_go_of_once_they_answer() {
    each_way(config(), async |mut pair| {
        pair.handle.end(restart(), seconds(30));
        pair.near.expect(CLOSE, &closing(1012, "deploy")).await;
        pair.far.expect(CLOSE, &closing(1012, "deploy")).await;
        assert_eq!(pair.handle.state(), TunnelState::Closing);
        pass(seconds(10)).await;
        pair.near.expect_quiet().await;
        pair.near.close(1012).await;
        pair.near.expect_end().await;
        pair.far.expect_quiet().await;
        pass(seconds(10)).await;
        // Without a Close it is an answer too.
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
async fn what_is_left_at_the_end_of_the_grace_is_cut() {
    each_way(config(), async |mut pair| {
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        pair.far.expect_close(1012).await;
        pair.near.close(1012).await;
        pair.near.expect_end().await;
        pass(seconds(30) - MOMENT).await;
        assert!(!pair.is_finished());
        pass(MOMENT).await;
        let ended = pair.end().await;
        assert!(has_reason(&ended, "drained_cut"), "{ended:?}");
        assert_eq!((ended.codes(), ended.summary.end().is_orderly()), ((1012, 1006), false));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_grace_the_sides_are_told_all_the_same() {
    each_way(config(), async |mut pair| {
        pair.handle.end(restart(), seconds(0));
        pair.near.expect_close(1012).await;
        pair.far.expect_close(1012).await;
        assert!(has_reason(&pair.end().await, "drained_cut"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_for_the_end_of_a_frame() {
    let payload: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let sizes = [(1000, 1), (1000, 3), (1000, 8), (1000, 500), (1_000_000, 600_000)];
    for ((size, sent), holds) in sizes.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        let most = holds.then_some(u64::MAX);
        each_way(config().max_frame_size(most), async |mut pair| {
            let frame = pair.near.frame(BINARY, &payload[..size]);
            let Pair { near, far, .. } = &mut pair;
            // Where a frame may be refused, nobody knows of one of which not even the header has come.
            let begins = !holds || sent >= frame.len() - size;
            let seen = if begins { sent } else { 0 };
            let ((), begun) = tokio::join!(near.send(&frame[..sent]), far.bytes(seen));
            assert!(begun == frame[..seen]);
            pair.handle.end(restart(), seconds(30));
            pair.near.expect_close(1012).await;
            if !begins {
                pair.far.expect_close(1012).await;
                pair.near.send(&frame[sent..]).await;
            } else {
                pair.far.expect_quiet().await;
                let Pair { near, far, .. } = &mut pair;
                let ((), rest) = tokio::join!(near.send(&frame[sent..]), far.bytes(frame.len() - sent));
                assert!(rest == frame[sent..]);
                pair.far.expect(CLOSE, &closing(1012, "deploy")).await;
                pair.near.say(TEXT, b"this is too late").await;
                pair.far.expect_quiet().await;
            }
            pair.near.close(1012).await;
            pair.far.close(1012).await;
            let ended = pair.end().await;
            assert!(has_reason(&ended, "drained"), "{ended:?}");
            assert_eq!(ended.sent_by_near().1, if begins { frame.len() as u64 } else { 0 });
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_goes_behind_what_a_blocked_writer_has_to_take_first() {
    each_way(config(), async |mut pair| {
        let mut flood = Vec::new();
        for number in 0..40_000_u32 {
            flood.extend(pair.near.frame(TEXT, number.to_string().repeat(20).as_bytes()));
        }
        let taken = pair.near.flood(&flood).await;
        assert!(taken < flood.len(), "it is not blocked");
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        let Pair { near, far, .. } = &mut pair;
        let read = async {
            for number in 0_u32.. {
                let frame = far.next().await.unwrap();
                if frame.first != TEXT {
                    assert_eq!((frame.first, frame.payload), (CLOSE, closing(1012, "deploy")));
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
        // The frames behind it went nowhere.
        assert!(ended.sent_by_near().1 < flood.len() as u64);
        assert_eq!(ended.sent_by_near().0, 40_000);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_blocked_side_is_cut_at_the_end_of_the_grace() {
    each_way(config(), async |mut pair| {
        let flood = pair.near.frame(BINARY, &[1; 3_000_000]);
        assert!(pair.near.flood(&flood).await < flood.len());
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        pass(seconds(30)).await;
        let ended = frozen(pair.tunnel).await.unwrap();
        assert!(matches!(ended.end(), TunnelEnd::DrainTimeout), "{ended:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn closes_that_cross_are_one_for_each_side() {
    // The order comes first.
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
    // Both have closed it, and neither its connection.
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
    // One has.
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
