//! Orders to end at one moment or another of a tunnel's life.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tower_upgrade_proxy::{CloseCode, CloseFrame, Side, Tunnel, TunnelEnd, TunnelState};

use super::{
    MOMENT, Pair, config,
    drain::{has_reason, restart},
    each_way, from,
    moments::{frozen, pass, settle},
    seconds,
};

#[tokio::test(start_paused = true)]
async fn the_first_of_two_ends_counts() {
    for (first, second, earlier) in [(30, 10, 10), (10, 30, 10)] {
        each_way(config(), async |mut pair| {
            pair.handle.end(restart(), seconds(first));
            pair.near.expect_close(1012).await;
            pair.far.expect_close(1012).await;
            pair.handle.end(CloseFrame::new(CloseCode::GOING_AWAY), seconds(second));
            pass(seconds(earlier) - MOMENT).await;
            assert!(!pair.is_finished());
            pair.near.expect_quiet().await;
            pass(MOMENT).await;
            assert!(has_reason(&pair.end().await, "drained_cut"));
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_shortens_the_close_of_a_timeout_and_does_not_lengthen_it() {
    for (grace, waits) in [(2, 2), (30, 5)] {
        each_way(config().idle_timeout(seconds(60)), async |mut pair| {
            pass(seconds(60)).await;
            pair.near.expect_close(1001).await;
            pair.far.expect_close(1001).await;
            pair.handle.end(restart(), seconds(grace));
            pass(seconds(waits) - MOMENT).await;
            assert!(!pair.is_finished());
            pair.near.expect_quiet().await;
            pass(MOMENT).await;
            let ended = pair.end().await;
            assert!(matches!(ended.summary.end(), TunnelEnd::IdleTimeout), "{ended:?}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_side_that_fails_while_it_is_told_does_not_hold_up_the_other() {
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

#[tokio::test(start_paused = true)]
async fn a_tunnel_that_is_half_closed_is_told_where_it_can_be() {
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
async fn an_order_that_was_given_before_the_tunnel_ran_is_obeyed() {
    let (mut client, client_end) = duplex(100);
    let (mut upstream, upstream_end) = duplex(100);
    let mut tunnel = Tunnel::new(client_end, upstream_end, config()).websocket();
    tunnel.handle().end(CloseFrame::new(CloseCode::GOING_AWAY), seconds(30));
    let tunnel = tokio::spawn(
        tunnel.early_bytes(Bytes::from_static(b"\x81\x80abcd"), Bytes::from_static(b"\x81\x00")),
    );
    let mut came = [0; 6];
    client.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"\x81\x00\x88\x02\x03\xe9");
    let mut came = [0; 8];
    upstream.read_exact(&mut came).await.unwrap();
    assert_eq!(&came, b"\x81\x80abcd\x88\x82");
    drop((client, upstream));
    assert!(matches!(frozen(tunnel).await.unwrap().end(), TunnelEnd::Drained));
}

#[tokio::test(start_paused = true)]
async fn the_upstream_of_another_protocol_is_told_that_the_client_has_finished() {
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
        let mut came = Vec::new();
        frozen(upstream.read_to_end(&mut came)).await.unwrap();
        assert_eq!(came, b"request");
        assert_eq!(handle.state(), TunnelState::Closing);
        pass(seconds(29)).await;
        upstream.write_all(b"answer").await.unwrap();
        if finishes {
            upstream.shutdown().await.unwrap();
            let mut came = String::new();
            frozen(client.read_to_string(&mut came)).await.unwrap();
            assert_eq!(came, "answer");
        } else {
            settle().await;
            assert!(!tunnel.is_finished());
            pass(seconds(1)).await;
        }
        let summary = frozen(tunnel).await.unwrap();
        assert_eq!(summary.end().reason(), if finishes { "drained" } else { "drained_cut" });
        assert_eq!((summary.bytes(Side::Client), summary.bytes(Side::Upstream)), (7, 6));
        assert_eq!(summary.close_code(Side::Client), None);
        assert_eq!(handle.state(), TunnelState::Ended);
    }
}
