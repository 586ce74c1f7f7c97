//! Timeouts, and sides that are gone.

use tokio::time::Instant;
use tower_upgrade_proxy::{Close, CloseCode, Closes, Side, TunnelConfig, TunnelEnd};

use super::{
    MOMENT, Pair, config, each_way, from,
    peer::{CLOSE, TEXT, closing, pass},
    seconds,
};

fn custom(code: u16) -> Close {
    Close::new(CloseCode::new(code).unwrap()).reason("as configured")
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_tells_both_sides_and_ends_once_both_have_answered() {
    each_way(config().idle_timeout(seconds(60)), async |mut pair| {
        pass(seconds(50)).await;
        pair.near.say(TEXT, b"once more").await;
        pair.far.expect(TEXT, b"once more").await;
        pass(seconds(60) - MOMENT).await;
        pair.near.expect_quiet().await;
        pair.far.expect_quiet().await;
        pass(MOMENT).await;
        pair.near.expect(CLOSE, &closing(1001, "idle timeout")).await;
        pair.far.expect(CLOSE, &closing(1001, "idle timeout")).await;
        pair.far.close(1001).await;
        pair.far.expect_end().await;
        assert!(!pair.is_finished());
        pair.near.close(1000).await;
        pair.near.expect_end().await;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
        assert_eq!((ended.codes(), ended.sent_by_near().0), ((1000, 1001), 1));
        assert_eq!(ended.summary.duration(), seconds(110));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sides_that_have_both_closed_and_stay_are_cut_at_the_close_timeout() {
    each_way(config().idle_timeout(seconds(60)).close_timeout(seconds(7)), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        pass(seconds(30)).await;
        assert!(!pair.is_finished(), "the answer may take as long as any byte");
        pair.far.close(1000).await;
        pair.near.expect_close(1000).await;
        pass(seconds(7) - MOMENT).await;
        assert!(!pair.is_finished());
        pass(MOMENT).await;
        let near = pair.near.side;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first } if *first == near), "{ended:?}");
        assert_eq!((ended.codes(), ended.summary.first()), ((1000, 1000), Some(near)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sides_that_do_not_answer_are_cut_at_the_close_timeout() {
    let config = config().idle_timeout(seconds(60)).close_timeout(seconds(7));
    each_way(config, async |mut pair| {
        pass(seconds(60)).await;
        pair.near.expect_close(1001).await;
        pair.far.expect_close(1001).await;
        pass(seconds(7) - MOMENT).await;
        assert!(!pair.is_finished());
        // What comes now goes nowhere, and keeps nothing open.
        pair.near.say(TEXT, b"too late").await;
        pair.far.expect_quiet().await;
        pass(MOMENT).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
        assert_eq!(ended.codes(), (1006, 1006));
        assert_eq!(ended.sent_by_near().1, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_lifetime_ends_a_busy_tunnel_with_a_close() {
    each_way(config().max_lifetime(seconds(10)), async |mut pair| {
        for _ in 0..9 {
            pass(seconds(1)).await;
            pair.near.say(TEXT, b"busy").await;
            pair.far.expect(TEXT, b"busy").await;
        }
        pass(seconds(1)).await;
        for peer in [&mut pair.near, &mut pair.far] {
            peer.expect(CLOSE, &closing(1001, "maximum lifetime reached")).await;
            peer.close(1001).await;
        }
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::LifetimeReached), "{ended:?}");
        assert_eq!(ended.summary.duration(), seconds(10));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_jitter_spreads_the_ends_of_tunnels_that_began_together() {
    let config = config().max_lifetime(seconds(100)).lifetime_jitter(seconds(40)).closes(Closes::none());
    let pairs: Vec<_> = (0..200).map(|_| Pair::in_memory(Side::Client, Side::Upstream, &config)).collect();
    let mut ages = Vec::new();
    for pair in pairs {
        ages.push(pair.tunnel.await.unwrap().duration());
    }
    assert!(ages.iter().all(|age| *age >= seconds(60) && *age <= seconds(100) + MOMENT), "{ages:?}");
    assert!(ages.iter().any(|age| *age < seconds(70)) && ages.iter().any(|age| *age > seconds(90)));
}

#[tokio::test(start_paused = true)]
async fn a_jitter_above_the_lifetime_ends_tunnels_at_any_age_below_it() {
    for jitter in [seconds(1000), std::time::Duration::MAX] {
        let config = config().max_lifetime(seconds(100)).lifetime_jitter(jitter).closes(Closes::none());
        let begun = Instant::now();
        let mut ages = Vec::new();
        for pair in [(); 100].map(|()| Pair::in_memory(Side::Client, Side::Upstream, &config)) {
            ages.push(pair.tunnel.await.unwrap().duration());
        }
        assert!(begun.elapsed() <= seconds(100) + MOMENT);
        assert!(ages.iter().any(|age| *age > seconds(50)), "{ages:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_ends_without_a_close_is_gone_to_the_client() {
    from(Side::Upstream, config(), async |mut pair| {
        pair.near.say(TEXT, b"last words").await;
        pair.near.finish().await;
        pair.far.expect(TEXT, b"last words").await;
        pair.far.expect(CLOSE, &closing(1011, "the upstream has gone")).await;
        pair.far.expect_end().await;
        // It is only the upstream's direction that has ended.
        pair.far.say(TEXT, b"but I").await;
        pair.far.close(1011).await;
        pair.far.finish().await;
        pair.near.expect(TEXT, b"but I").await;
        pair.near.expect_close(1011).await;
        pair.near.expect_end().await;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{ended:?}");
        assert_eq!((ended.codes(), ended.sent_by_near()), ((1006, 1011), (1, 12)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_ends_without_a_close_looks_to_the_upstream_as_it_does_without_a_proxy() {
    from(Side::Client, config(), async |mut pair| {
        pair.near.say(TEXT, b"last words").await;
        pair.near.finish().await;
        pair.far.expect(TEXT, b"last words").await;
        pair.far.expect_end().await;
        pair.far.say(TEXT, b"but I").await;
        pair.near.expect(TEXT, b"but I").await;
        pair.far.finish().await;
        pair.near.expect_end().await;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first: Side::Client }), "{ended:?}");
        assert_eq!(ended.codes(), (1006, 1006));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_side_is_told_of_the_others_end_can_be_chosen() {
    let closes = Closes::new().upstream_gone(custom(1011)).client_gone(custom(3000));
    let told = |side| if side == Side::Client { 3000 } else { 1011 };
    each_way(config().closes(closes.clone()), async |mut pair| {
        pair.near.finish().await;
        pair.far.expect(CLOSE, &closing(told(pair.near.side), "as configured")).await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        pair.near.expect_end().await;
        pair.end().await;
    })
    .await;
    each_way(config().closes(closes), async |pair| {
        let Pair { near, mut far, .. } = pair;
        let side = near.side;
        near.reset();
        far.expect(CLOSE, &closing(told(side), "as configured")).await;
        far.expect_end().await;
        far.close(1000).await;
    })
    .await;
    each_way(config().closes(Closes::none()), async |mut pair| {
        pair.near.finish().await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        pair.end().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_close_is_put_into_a_frame_that_its_sender_has_left() {
    let whole = super::frame(Side::Upstream, TEXT, &[b'x'; 300]);
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
            // Of a header that is not complete nothing goes on, where the frame may be refused.
            let passed = if kept < 4 { 0 } else { kept };
            assert_eq!(far.bytes(passed).await, whole[..passed]);
            near.reset();
            if passed == 0 {
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
async fn the_client_of_an_upstream_that_is_reset_is_told_and_may_answer() {
    from(Side::Upstream, config(), async |pair| {
        let Pair { mut near, mut far, tunnel, .. } = pair;
        near.say(TEXT, b"last words").await;
        far.expect(TEXT, b"last words").await;
        near.reset();
        far.expect_close(1011).await;
        far.expect_end().await;
        super::peer::settle().await;
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
async fn a_client_that_is_reset_ends_the_upstream_at_once_and_without_a_close() {
    from(Side::Client, config(), async |pair| {
        let Pair { near, mut far, tunnel, .. } = pair;
        near.reset();
        far.expect_end().await;
        let summary = super::frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Client, .. }), "{summary:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_was_told_by_the_other_is_not_told_again() {
    // At the end of its connection.
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
        pass(seconds(60)).await;
        pair.near.expect_close(1001).await;
        pair.near.expect_end().await;
        pair.far.expect_quiet().await;
        pair.far.close(1000).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
        assert_eq!(ended.codes(), (1000, 1000));
    })
    .await;
    // When both have closed it, nobody is left to be told.
    each_way(config().idle_timeout(seconds(60)), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        pair.far.close(1000).await;
        pair.near.expect_close(1000).await;
        pass(seconds(60)).await;
        assert!(pair.is_finished());
        pair.end().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_closes_a_timeout_ends_a_websocket_like_any_other_tunnel() {
    let closes = [(Closes::none(), None), (Closes::none().idle_timeout(custom(4000)), Some(4000))];
    for (closes, code) in closes {
        let config = TunnelConfig::new().idle_timeout(seconds(60)).closes(closes);
        each_way(config, async |mut pair| {
            pass(seconds(60)).await;
            if let Some(code) = code {
                for peer in [&mut pair.near, &mut pair.far] {
                    peer.expect_close(code).await;
                    peer.close(code).await;
                }
            }
            pair.near.expect_end().await;
            pair.far.expect_end().await;
            let ended = pair.summary().await;
            assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_when_its_upstream_has_gone_has_the_half_close_timeout() {
    let config = config().half_close_timeout(seconds(30));
    from(Side::Upstream, config, async |mut pair| {
        pair.near.finish().await;
        pair.far.expect_close(1011).await;
        pair.far.expect_end().await;
        pass(seconds(30) - MOMENT).await;
        assert!(!pair.is_finished());
        pass(MOMENT).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::HalfCloseTimeout), "{ended:?}");
    })
    .await;
}
