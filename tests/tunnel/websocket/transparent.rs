//! The default close policy: clients are told nothing that their upstream has not said.

use test_support::websocket::frame::{BINARY, CLOSE, PING, TEXT, close_payload};
use tower_upgrade_proxy::{ClosePolicy, Framing, Initiator, Side, Told, TunnelConfig, TunnelEnd};

use super::{
    Ended, MILLISECOND, Pair,
    clock::{advance, frozen, settle},
    each_way, from, seconds,
};

/// Maximum size of a frame, above that of the warm-up.
const LIMIT: usize = 2 * super::WARM_UP;

const CONTINUATION: u8 = 0x00;
const LAST: u8 = 0x80;
const FIRST_PART: u8 = TEXT & 0x7f;

/// The defaults, without timeouts.
fn config() -> TunnelConfig {
    TunnelConfig::new().idle_timeout(None).half_close_timeout(None)
}

fn told(ended: &Ended) -> [Option<Told>; 2] {
    [Side::Client, Side::Upstream].map(|side| ended.summary.told(side))
}

/// Expects what both sides are told when the proxy ends the tunnel, and closes them.
async fn expect_ends(mut pair: Pair, reason: &str) -> Ended {
    pair.near.expect_end().await;
    pair.far.expect(CLOSE, &close_payload(1001, reason)).await;
    pair.far.expect_quiet().await;
    pair.far.close(1001).await;
    settle().await;
    assert!(!pair.is_finished(), "the client has time to end its connection");
    pair.near.finish().await;
    let ended = pair.end().await;
    assert_eq!(told(&ended), [Some(Told::EndOfStream), Some(Told::Close(1001))]);
    assert_eq!(ended.summary.end().initiator(), Initiator::Proxy);
    ended
}

#[tokio::test(start_paused = true)]
async fn when_the_proxy_ends_a_tunnel_the_client_gets_no_close_and_the_upstream_1001() {
    from(Side::Client, config(), async |pair| {
        pair.handle.end(None, seconds(30));
        let ended = expect_ends(pair, "going away").await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Drained), "{ended:?}");
    })
    .await;
    from(Side::Client, config().idle_timeout(seconds(60)), async |pair| {
        advance(seconds(60)).await;
        let ended = expect_ends(pair, "idle timeout").await;
        assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
    })
    .await;
    from(Side::Client, config().max_lifetime(seconds(60)), async |pair| {
        advance(seconds(60)).await;
        let ended = expect_ends(pair, "maximum lifetime reached").await;
        assert!(matches!(ended.summary.end(), TunnelEnd::LifetimeReached), "{ended:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_is_waited_for_until_the_close_timeout() {
    from(Side::Client, config(), async |mut pair| {
        pair.handle.end(None, seconds(30));
        pair.near.expect_end().await;
        pair.far.expect_close(1001).await;
        pair.far.close(1001).await;
        advance(seconds(5) - MILLISECOND).await;
        assert!(!pair.is_finished());
        advance(MILLISECOND).await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Drained), "{ended:?}");
        assert_eq!(told(&ended), [Some(Told::EndOfStream), Some(Told::Close(1001))]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_relayed_at_a_drain_are_completed() {
    // From the upstream: the end follows the message, and not one of its frames.
    from(Side::Upstream, config(), async |mut pair| {
        pair.near.send_frame(FIRST_PART, b"one ").await;
        pair.far.expect(FIRST_PART, b"one ").await;
        pair.handle.end(None, seconds(30));
        pair.near.expect_close(1001).await;
        pair.near.send_frame(PING, b"between").await;
        pair.far.expect(PING, b"between").await;
        pair.near.send_frame(CONTINUATION, b"two ").await;
        pair.far.expect(CONTINUATION, b"two ").await;
        pair.far.expect_quiet().await;
        pair.near.send_frame(LAST, b"three").await;
        pair.far.expect(LAST, b"three").await;
        pair.far.expect_end().await;
        pair.near.send_frame(TEXT, b"too late").await;
        pair.near.close(1001).await;
        pair.far.finish().await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Drained), "{ended:?}");
    })
    .await;
    // From the client: its connection ends after its message.
    from(Side::Client, config(), async |mut pair| {
        pair.near.send_frame(FIRST_PART, b"one ").await;
        pair.far.expect(FIRST_PART, b"one ").await;
        pair.handle.end(None, seconds(30));
        pair.far.expect_quiet().await;
        pair.near.expect_quiet().await;
        pair.near.send_frame(LAST, b"two").await;
        pair.far.expect(LAST, b"two").await;
        pair.far.expect_close(1001).await;
        pair.near.expect_end().await;
        pair.far.close(1001).await;
        pair.near.finish().await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Drained), "{ended:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_large_frame_that_is_relayed_at_a_drain_is_completed() {
    let payload: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    from(Side::Upstream, config(), async |mut pair| {
        let frame = pair.near.frame(BINARY, &payload);
        let Pair { near, far, .. } = &mut pair;
        let ((), begun) = tokio::join!(near.send(&frame[..600_000]), far.bytes(600_000));
        assert!(begun == frame[..600_000]);
        pair.handle.end(None, seconds(30));
        pair.far.expect_quiet().await;
        let Pair { near, far, .. } = &mut pair;
        let ((), rest) = tokio::join!(near.send(&frame[600_000..]), far.bytes(frame.len() - 600_000));
        assert!(rest == frame[600_000..]);
        pair.near.expect_close(1001).await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        pair.near.close(1001).await;
        pair.end().await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_end_does_not_outlast_the_grace() {
    each_way(config(), async |mut pair| {
        pair.near.send_frame(FIRST_PART, b"one ").await;
        pair.far.expect(FIRST_PART, b"one ").await;
        pair.handle.end(None, seconds(30));
        settle().await;
        advance(seconds(30)).await;
        let (near, far) = (pair.near.side, pair.far.side);
        let summary = frozen(pair.tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::DrainTimeout), "{summary:?}");
        assert_eq!(summary.told(far), Some(Told::Aborted), "after a part of the message of the {near}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_the_close_of_the_proxy_does_not_reach_the_client() {
    // The client is blocked, so that the answer arrives before its stream can end.
    from(Side::Upstream, config(), async |mut pair| {
        pair.near.send_frame(FIRST_PART, b"one ").await;
        pair.far.expect(FIRST_PART, b"one ").await;
        pair.handle.end(None, seconds(30));
        pair.near.expect_close(1001).await;
        pair.near.close(1001).await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        let ended = pair.end().await;
        assert_eq!((ended.codes(), told(&ended)[0]), ((1001, 1006), Some(Told::EndOfStream)));
    })
    .await;
    // A Close before that is the upstream's own.
    from(Side::Upstream, config(), async |mut pair| {
        pair.near.close(4000).await;
        pair.far.expect_close(4000).await;
        pair.handle.end(None, seconds(30));
        pair.near.expect_close(1001).await;
        pair.far.close(4000).await;
        let ended = pair.end().await;
        assert_eq!(told(&ended), [Some(Told::RelayedClose(4000)), Some(Told::Close(1001))]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_upstream_has_gone_gets_no_close() {
    from(Side::Upstream, config(), async |mut pair| {
        pair.near.send_frame(TEXT, b"last words").await;
        pair.near.finish().await;
        pair.far.expect(TEXT, b"last words").await;
        pair.far.expect_end().await;
        pair.far.finish().await;
        pair.near.expect_end().await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{ended:?}");
        assert_eq!(told(&ended)[0], Some(Told::EndOfStream));
    })
    .await;
    from(Side::Upstream, config(), async |pair| {
        let Pair { mut near, mut far, tunnel, .. } = pair;
        near.send_frame(TEXT, b"last words").await;
        settle().await;
        near.reset();
        far.expect(TEXT, b"last words").await;
        far.expect_end().await;
        settle().await;
        assert!(!tunnel.is_finished());
        far.finish().await;
        let summary = frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
        let told = [Side::Client, Side::Upstream].map(|side| summary.told(side));
        assert_eq!(told, [Some(Told::EndOfStream), Some(Told::Aborted)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bytes_pending_for_a_client_are_delivered_when_its_upstream_fails() {
    from(Side::Upstream, config(), async |pair| {
        let Pair { mut near, mut far, tunnel, .. } = pair;
        let message = near.frame(TEXT, &[b'x'; 100]);
        let taken = near.flood(&message.repeat(40_000)).await;
        near.reset();
        let received = far.drain().await;
        assert!(message.repeat(40_000).starts_with(&received), "in order");
        // A reset discards what the tunnel has not read.
        assert!(received.len() <= taken && received.len() > 30_000, "{} of {taken}", received.len());
        far.finish().await;
        let summary = frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_whose_client_has_gone_gets_1001_and_may_still_speak() {
    from(Side::Client, config(), async |mut pair| {
        pair.near.send_frame(TEXT, b"last words").await;
        pair.near.finish().await;
        pair.far.expect(TEXT, b"last words").await;
        pair.far.expect(CLOSE, &close_payload(1001, "the client has gone")).await;
        pair.far.expect_end().await;
        pair.far.send_frame(TEXT, b"reply").await;
        pair.near.expect(TEXT, b"reply").await;
        pair.far.close(1001).await;
        pair.far.finish().await;
        pair.near.expect_end().await;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first: Side::Client }), "{ended:?}");
        assert_eq!(told(&ended), [Some(Told::EndOfStream), Some(Told::Close(1001))]);
    })
    .await;
    from(Side::Client, config(), async |pair| {
        let Pair { near, mut far, tunnel, .. } = pair;
        near.reset();
        far.expect_close(1001).await;
        far.close(1001).await;
        let summary = frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Client, .. }), "{summary:?}");
        let told = [Side::Client, Side::Upstream].map(|side| summary.told(side));
        assert_eq!(told, [Some(Told::Aborted), Some(Told::Close(1001))]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_side_that_broke_a_rule_gets_a_close_and_the_other_what_it_gets_when_that_side_is_gone() {
    let strict = config().max_frame_size(LIMIT as u64).framing(Framing::Strict);
    for (invalid, code) in [(false, 1009), (true, 1002)] {
        each_way(strict.clone(), async |mut pair| {
            let frame = pair.near.frame(if invalid { 0x83 } else { TEXT }, &[b'x'; LIMIT + 1]);
            pair.near.send(&frame[..20]).await;
            pair.near.expect_close(code).await;
            pair.near.finish().await;
            if pair.far.side == Side::Upstream {
                pair.far.expect_close(1001).await;
                pair.far.close(1001).await;
            } else {
                pair.far.expect_end().await;
                pair.far.finish().await;
            }
            let near = pair.near.side;
            let ended = pair.end().await;
            assert_eq!(ended.summary.told(near), Some(Told::Close(code)));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn with_service_restart_a_client_gets_1012_only_where_the_server_restarts() {
    let config = config().close_policy(ClosePolicy::service_restart());
    for drained in [true, false] {
        from(Side::Client, config.clone().max_lifetime(seconds(60)), async |mut pair| {
            if drained {
                pair.handle.end(None, seconds(30));
            } else {
                advance(seconds(60)).await;
            }
            pair.near.expect_close(1012).await;
            pair.far.expect_close(1001).await;
            pair.near.close(1012).await;
            pair.far.close(1001).await;
            assert_eq!(told(&pair.end().await), [Some(Told::Close(1012)), Some(Told::Close(1001))]);
        })
        .await;
    }
    from(Side::Client, config.idle_timeout(seconds(60)), async |pair| {
        advance(seconds(60)).await;
        expect_ends(pair, "idle timeout").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_close_of_a_drain_is_sent_to_both_sides_whatever_the_policy() {
    from(Side::Client, config(), async |mut pair| {
        pair.handle.end(super::drain::restart(), seconds(30));
        pair.near.expect_close(1012).await;
        pair.far.expect_close(1012).await;
        pair.near.close(1012).await;
        pair.far.close(1012).await;
        assert_eq!(told(&pair.end().await), [Some(Told::Close(1012)); 2]);
    })
    .await;
}
