//! Shutdown requests at different stages of a tunnel.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tower_upgrade_proxy::{CloseCode, CloseFrame, Side, Tunnel, TunnelEnd, TunnelState};

use super::{
    MILLISECOND, Pair,
    clock::{advance, frozen, settle},
    config,
    drain::{has_reason, restart},
    each_way, from, seconds,
};

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_deadlines_counts() {
    for (first, second, earlier) in [(30, 10, 10), (10, 30, 10)] {
        each_way(config(), async |mut pair| {
            pair.handle.end(restart(), seconds(first));
            pair.near.expect_close(1012).await;
            pair.far.expect_close(1012).await;
            pair.handle.end(CloseFrame::new(CloseCode::GOING_AWAY), seconds(second));
            advance(seconds(earlier) - MILLISECOND).await;
            assert!(!pair.is_finished());
            pair.near.expect_quiet().await;
            advance(MILLISECOND).await;
            assert!(has_reason(&pair.end().await, "drain_timeout"));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_request_shortens_the_close_timeout_but_does_not_extend_it() {
    for (grace, waits) in [(2, 2), (30, 5)] {
        each_way(config().idle_timeout(seconds(60)), async |mut pair| {
            advance(seconds(60)).await;
            pair.near.expect_close(1001).await;
            pair.far.expect_close(1001).await;
            pair.handle.end(restart(), seconds(grace));
            advance(seconds(waits) - MILLISECOND).await;
            assert!(!pair.is_finished());
            pair.near.expect_quiet().await;
            advance(MILLISECOND).await;
            let ended = pair.end().await;
            assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_fails_during_the_close_handshake_does_not_delay_the_other() {
    each_way(config(), async |pair| {
        let Pair { mut near, mut far, handle, tunnel, .. } = pair;
        handle.end(restart(), seconds(30));
        near.expect_close(1012).await;
        far.expect_close(1012).await;
        near.reset();
        settle().await;
        assert!(!tunnel.is_finished());
        far.close(1012).await;
        far.expect_end().await;
        let summary = frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Drained), "{summary:?}");
    })
    .await;
}

/// The other side's input ends then, as at the end of the connection.
#[tokio::test(start_paused = true)]
async fn a_side_that_fails_after_its_close_handshake_half_closes_the_other() {
    each_way(config(), async |pair| {
        let Pair { mut near, mut far, handle, tunnel, .. } = pair;
        handle.end(restart(), seconds(30));
        near.expect_close(1012).await;
        far.expect_close(1012).await;
        near.close(1012).await;
        near.expect_end().await;
        near.reset();
        far.expect_end().await;
        assert!(!tunnel.is_finished());
        far.close(1012).await;
        let summary = frozen(tunnel).await.unwrap();
        assert!(matches!(summary.end(), TunnelEnd::Drained), "{summary:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_tunnel_sends_a_close_in_the_open_direction() {
    from(Side::Client, config(), async |mut pair| {
        pair.near.finish().await;
        pair.far.expect_end().await;
        pair.handle.end(restart(), seconds(30));
        pair.near.expect_close(1012).await;
        settle().await;
        assert!(!pair.is_finished());
        pair.far.finish().await;
        assert!(has_reason(&pair.end().await, "drained"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_request_before_the_first_poll_is_handled() {
    let (mut client, client_end) = duplex(100);
    let (mut upstream, upstream_end) = duplex(100);
    let mut tunnel = Tunnel::new(client_end, upstream_end, config()).websocket();
    tunnel.handle().end(CloseFrame::new(CloseCode::GOING_AWAY), seconds(30));
    let tunnel = tokio::spawn(
        tunnel.early_bytes(Bytes::from_static(b"\x81\x80abcd"), Bytes::from_static(b"\x81\x00")),
    );
    let mut received = [0; 6];
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"\x81\x00\x88\x02\x03\xe9");
    let mut received = [0; 8];
    upstream.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"\x81\x80abcd\x88\x82");
    drop((client, upstream));
    assert!(matches!(frozen(tunnel).await.unwrap().end(), TunnelEnd::Drained));
}

#[tokio::test(start_paused = true)]
async fn a_drain_half_closes_the_upstream_of_another_protocol() {
    for finishes in [true, false] {
        let (mut client, client_end) = duplex(100);
        let (mut upstream, upstream_end) = duplex(100);
        let mut tunnel = Tunnel::new(client_end, upstream_end, config());
        let handle = tunnel.handle();
        let tunnel = tokio::spawn(tunnel);
        client.write_all(b"request").await.unwrap();
        settle().await;
        handle.end(restart(), seconds(30));
        settle().await;
        client.write_all(b"too late").await.unwrap();
        let mut received = Vec::new();
        frozen(upstream.read_to_end(&mut received)).await.unwrap();
        assert_eq!(received, b"request");
        assert_eq!(handle.state(), TunnelState::Closing);
        advance(seconds(29)).await;
        upstream.write_all(b"answer").await.unwrap();
        if finishes {
            upstream.shutdown().await.unwrap();
            let mut received = String::new();
            frozen(client.read_to_string(&mut received)).await.unwrap();
            assert_eq!(received, "answer");
        } else {
            settle().await;
            assert!(!tunnel.is_finished());
            advance(seconds(1)).await;
        }
        let summary = frozen(tunnel).await.unwrap();
        assert_eq!(summary.end().reason(), if finishes { "drained" } else { "drain_timeout" });
        assert_eq!((summary.bytes(Side::Client), summary.bytes(Side::Upstream)), (7, 6));
        assert_eq!(summary.close_code(Side::Client), None);
        assert_eq!(handle.state(), TunnelState::Ended);
    }
}
