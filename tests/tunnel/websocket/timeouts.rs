//! Timeouts and the Close frames sent at them.

use std::time::Duration;

use test_support::websocket::frame::{CLOSE, TEXT, close_payload};
use tokio::time::Instant;
use tower_upgrade_proxy::{ClosePolicy, Side, TunnelConfig, TunnelEnd};

use super::{MILLISECOND, Pair, clock::advance, config, each_way, endings::custom, from, no_close, seconds};

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_sends_a_close_to_both_sides_and_waits_for_the_answers() {
    each_way(config().idle_timeout(seconds(60)), async |mut pair| {
        advance(seconds(50)).await;
        pair.near.send_frame(TEXT, b"once more").await;
        pair.far.expect(TEXT, b"once more").await;
        advance(seconds(60) - MILLISECOND).await;
        pair.near.expect_quiet().await;
        pair.far.expect_quiet().await;
        advance(MILLISECOND).await;
        pair.near.expect(CLOSE, &close_payload(1001, "idle timeout")).await;
        pair.far.expect(CLOSE, &close_payload(1001, "idle timeout")).await;
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
async fn sides_that_do_not_answer_are_aborted_at_the_close_timeout() {
    let config = config().idle_timeout(seconds(60)).close_timeout(seconds(7));
    each_way(config, async |mut pair| {
        advance(seconds(60)).await;
        pair.near.expect_close(1001).await;
        pair.far.expect_close(1001).await;
        advance(seconds(7) - MILLISECOND).await;
        assert!(!pair.is_finished());
        // Further frames are discarded, and do not extend the timeout.
        pair.near.send_frame(TEXT, b"too late").await;
        pair.far.expect_quiet().await;
        advance(MILLISECOND).await;
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
            advance(seconds(1)).await;
            pair.near.send_frame(TEXT, b"busy").await;
            pair.far.expect(TEXT, b"busy").await;
        }
        advance(seconds(1)).await;
        for peer in [&mut pair.near, &mut pair.far] {
            peer.expect(CLOSE, &close_payload(1001, "maximum lifetime reached")).await;
            peer.close(1001).await;
        }
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::LifetimeReached), "{ended:?}");
        assert_eq!(ended.summary.duration(), seconds(10));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_lifetime_jitter_spreads_the_ends_of_tunnels_opened_together() {
    let config = config()
        .max_lifetime(seconds(100))
        .lifetime_jitter(seconds(40))
        .close_policy(no_close())
        .close_timeout(Duration::ZERO);
    let pairs: Vec<_> = (0..200).map(|_| Pair::in_memory(Side::Client, Side::Upstream, &config)).collect();
    let mut ages = Vec::new();
    for pair in pairs {
        ages.push(pair.tunnel.await.unwrap().duration());
    }
    assert!(ages.iter().all(|age| *age >= seconds(60) && *age <= seconds(100) + MILLISECOND), "{ages:?}");
    assert!(ages.iter().any(|age| *age < seconds(70)) && ages.iter().any(|age| *age > seconds(90)));
}

#[tokio::test(start_paused = true)]
async fn a_jitter_above_the_lifetime_ends_tunnels_at_any_age_below_it() {
    for jitter in [seconds(1000), Duration::MAX] {
        let config = config()
            .max_lifetime(seconds(100))
            .lifetime_jitter(jitter)
            .close_policy(no_close())
            .close_timeout(Duration::ZERO);
        let begun = Instant::now();
        let mut ages = Vec::new();
        for pair in [(); 100].map(|()| Pair::in_memory(Side::Client, Side::Upstream, &config)) {
            ages.push(pair.tunnel.await.unwrap().duration());
        }
        assert!(begun.elapsed() <= seconds(100) + MILLISECOND);
        assert!(ages.iter().any(|age| *age > seconds(50)), "{ages:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_close_both_sides_get_the_end_of_the_stream_and_time_to_end_too() {
    let each = ClosePolicy::from_fn(|end, _| matches!(end, TunnelEnd::IdleTimeout).then(|| custom(4000)));
    for (closes, code) in [(no_close(), None), (each, Some(4000))] {
        let config = TunnelConfig::new().idle_timeout(seconds(60)).close_policy(closes);
        for finishes in [true, false] {
            each_way(config.clone(), async |mut pair| {
                advance(seconds(60)).await;
                for peer in [&mut pair.near, &mut pair.far] {
                    if let Some(code) = code {
                        peer.expect_close(code).await;
                        peer.close(code).await;
                    }
                    peer.expect_end().await;
                    if finishes {
                        peer.finish().await;
                    }
                }
                if !finishes && code.is_none() {
                    advance(seconds(5) - MILLISECOND).await;
                    assert!(!pair.is_finished());
                    advance(MILLISECOND).await;
                }
                let ended = pair.summary().await;
                assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_after_its_upstream_has_ended_gets_the_half_close_timeout() {
    let config = config().half_close_timeout(seconds(30));
    from(Side::Upstream, config, async |mut pair| {
        pair.near.finish().await;
        pair.far.expect_close(1011).await;
        pair.far.expect_end().await;
        advance(seconds(30) - MILLISECOND).await;
        assert!(!pair.is_finished());
        advance(MILLISECOND).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::HalfCloseTimeout), "{ended:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn connections_still_open_after_both_closes_are_aborted_at_the_close_timeout() {
    each_way(config().idle_timeout(seconds(60)).close_timeout(seconds(7)), async |mut pair| {
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        advance(seconds(30)).await;
        assert!(!pair.is_finished(), "only the idle timeout applies to the answer");
        pair.far.close(1000).await;
        pair.near.expect_close(1000).await;
        advance(seconds(7) - MILLISECOND).await;
        assert!(!pair.is_finished());
        advance(MILLISECOND).await;
        let near = pair.near.side;
        let ended = pair.summary().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first } if *first == near), "{ended:?}");
        assert_eq!((ended.codes(), ended.summary.first()), ((1000, 1000), Some(near)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_longest_duration_is_a_valid_close_timeout() {
    each_way(config().idle_timeout(seconds(60)).close_timeout(Duration::MAX), async |mut pair| {
        advance(seconds(60)).await;
        pair.near.expect_close(1001).await;
        pair.far.expect_close(1001).await;
        advance(seconds(1_000_000)).await;
        assert!(!pair.is_finished());
        pair.near.close(1001).await;
        pair.far.close(1001).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
    })
    .await;
}
