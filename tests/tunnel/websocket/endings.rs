//! Sides that end or fail, and the Close that the other side is sent.

use test_support::websocket::frame::{CLOSE, TEXT, close_payload, frame};
use tower_upgrade_proxy::{CloseCode, CloseFrame, ClosePolicy, Framing, Initiator, Side, TunnelEnd};

use super::{Pair, clock::advance, config, each_way, from, no_close, seconds};

pub(super) fn custom(code: u16) -> CloseFrame {
    CloseFrame::new(CloseCode::new(code).unwrap()).with_reason("as configured")
}

#[tokio::test(start_paused = true)]
async fn the_client_is_sent_1011_when_the_upstream_ends_without_a_close() {
    from(Side::Upstream, config(), async |mut pair| {
        pair.near.send_frame(TEXT, b"last words").await;
        pair.near.finish().await;
        pair.far.expect(TEXT, b"last words").await;
        pair.far.expect(CLOSE, &close_payload(1011, "the upstream has gone")).await;
        pair.far.expect_end().await;
        // Only the upstream's direction has ended.
        pair.far.send_frame(TEXT, b"reply").await;
        pair.far.close(1011).await;
        pair.far.finish().await;
        pair.near.expect(TEXT, b"reply").await;
        // The answer is meant for the proxy.
        pair.near.expect_end().await;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{ended:?}");
        assert_eq!((ended.codes(), ended.sent_by_near()), ((1006, 1011), (1, 12)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_upstream_is_sent_no_close_when_the_client_ends_without_one() {
    from(Side::Client, config(), async |mut pair| {
        pair.near.send_frame(TEXT, b"last words").await;
        pair.near.finish().await;
        pair.far.expect(TEXT, b"last words").await;
        pair.far.expect_end().await;
        pair.far.send_frame(TEXT, b"reply").await;
        pair.near.expect(TEXT, b"reply").await;
        pair.far.finish().await;
        pair.near.expect_end().await;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first: Side::Client }), "{ended:?}");
        assert_eq!(ended.codes(), (1006, 1006));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_close_at_the_end_of_the_other_side_is_configurable() {
    let closes = ClosePolicy::from_fn(|end, to| {
        assert!(matches!(end.initiator(), Initiator::Client | Initiator::Upstream), "{end}");
        Some(custom(if to == Side::Client { 1011 } else { 3000 }))
    });
    let code = |side| if side == Side::Client { 3000 } else { 1011 };
    each_way(config().close_policy(closes.clone()), async |mut pair| {
        pair.near.finish().await;
        pair.far.expect(CLOSE, &close_payload(code(pair.near.side), "as configured")).await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        pair.near.expect_end().await;
        pair.end().await;
    })
    .await;
    each_way(config().close_policy(closes), async |pair| {
        let Pair { near, mut far, .. } = pair;
        let side = near.side;
        near.reset();
        far.expect(CLOSE, &close_payload(code(side), "as configured")).await;
        far.expect_end().await;
        far.close(1000).await;
    })
    .await;
    each_way(config().close_policy(no_close()), async |mut pair| {
        pair.near.finish().await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        pair.end().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_close_is_injected_into_an_unfinished_frame() {
    let whole = frame(Side::Upstream, TEXT, &[b'x'; 300]);
    for kept in [1, 3, 4, 5, 303] {
        from(Side::Upstream, config(), async |mut pair| {
            pair.near.send(&whole[..kept]).await;
            pair.near.finish().await;
            assert_eq!(pair.far.bytes(kept).await, whole[..kept]);
            pair.far.expect_end().await;
            pair.far.finish().await;
            assert_eq!(pair.end().await.sent_by_near(), (0, kept as u64));
        })
        .await;
        from(Side::Upstream, config().max_frame_size(1 << 20), async |pair| {
            let Pair { mut near, mut far, tunnel, .. } = pair;
            near.send(&whole[..kept]).await;
            // With a size limit, an incomplete header is withheld.
            let relayed = if kept < 4 { 0 } else { kept };
            assert_eq!(far.bytes(relayed).await, whole[..relayed]);
            near.reset();
            if relayed == 0 {
                far.expect_close(1011).await;
            }
            far.expect_end().await;
            far.finish().await;
            let summary = super::frozen(tunnel).await.unwrap();
            assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_is_sent_a_close_when_the_upstream_is_reset_and_may_answer() {
    from(Side::Upstream, config(), async |pair| {
        let Pair { mut near, mut far, tunnel, .. } = pair;
        near.send_frame(TEXT, b"last words").await;
        far.expect(TEXT, b"last words").await;
        near.reset();
        far.expect_close(1011).await;
        far.expect_end().await;
        super::clock::settle().await;
        assert!(!tunnel.is_finished());
        far.close(1011).await;
        let summary = super::frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
        let codes = [Side::Client, Side::Upstream].map(|side| summary.close_code(side));
        assert_eq!(codes, [Some(1011), Some(1006)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_upstream_ends_without_a_close_when_the_client_is_reset() {
    from(Side::Client, config(), async |pair| {
        let Pair { near, mut far, tunnel, .. } = pair;
        near.reset();
        far.expect_end().await;
        far.finish().await;
        let summary = super::frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Client, .. }), "{summary:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_received_a_close_gets_no_second_one() {
    // At the end of the connection.
    each_way(config(), async |mut pair| {
        pair.near.close(1000).await;
        pair.near.finish().await;
        pair.far.expect_close(1000).await;
        pair.far.expect_end().await;
        pair.far.close(1000).await;
        pair.far.finish().await;
        pair.near.expect_close(1000).await;
        let near = pair.near.side;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first } if *first == near), "{ended:?}");
        assert_eq!(ended.codes(), (1000, 1000));
    })
    .await;
    // At a timeout.
    each_way(config().idle_timeout(seconds(60)), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        advance(seconds(60)).await;
        pair.near.expect_close(1001).await;
        pair.near.expect_end().await;
        pair.far.expect_quiet().await;
        pair.far.close(1000).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
        assert_eq!(ended.codes(), (1000, 1000));
    })
    .await;
    // At a timeout after both Closes.
    each_way(config().idle_timeout(seconds(60)), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        pair.far.close(1000).await;
        pair.near.expect_close(1000).await;
        advance(seconds(60)).await;
        assert!(pair.is_finished());
        pair.end().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn with_ignored_framing_a_websocket_ends_like_any_other_tunnel() {
    each_way(
        config().idle_timeout(seconds(60)).max_frame_size(5).framing(Framing::Ignore),
        async |mut pair| {
            pair.near.send_frame(TEXT, b"more than five").await;
            pair.far.expect(TEXT, b"more than five").await;
            advance(seconds(60)).await;
            pair.near.expect_end().await;
            pair.far.expect_end().await;
            let ended = pair.summary().await;
            assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
            let codes = [Side::Client, Side::Upstream].map(|side| ended.summary.close_code(side));
            assert_eq!(codes, [None; 2]);
        },
    )
    .await;
}
