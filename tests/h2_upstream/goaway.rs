//! Connections that the upstream ends by GOAWAY, and connections that fail.

use test_support::{
    ScriptedUpstream, TestProxy, Wire,
    http2::{
        Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM},
    },
    proxy::{Inner, accept_tunnel, expect_open, sending_closes},
};
use tower_upgrade_proxy::{Side, TunnelEnd, UpgradeProxyLayer};

/// Starts an upstream and a proxy in front of it, and opens a tunnel.
async fn opened() -> (ScriptedUpstream, TestProxy, FrameConnection, (Wire, u32)) {
    let upstream = ScriptedUpstream::start().await;
    let proxy =
        TestProxy::start(Inner::Forward, sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())))
            .await;
    let (connection, tunnel) = open_on_new_connection(&proxy, &upstream).await;
    (upstream, proxy, connection, tunnel)
}

/// Opens a tunnel on a new connection.
async fn open_on_new_connection(
    proxy: &TestProxy,
    upstream: &ScriptedUpstream,
) -> (FrameConnection, (Wire, u32)) {
    let client = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_request().await;
    let client = accept_tunnel(client, &mut connection, stream).await;
    (connection, (client, stream))
}

#[tokio::test]
async fn after_goaway_tunnels_continue_and_new_ones_use_a_new_connection() {
    let (upstream, mut proxy, mut old, (mut client, stream)) = opened().await;
    old.goaway(stream).await;
    old.settle().await;
    let (mut new, mut second) = open_on_new_connection(&proxy, &upstream).await;
    expect_open(&mut second.0, &mut new, second.1).await;
    expect_open(&mut client, &mut old, stream).await;

    client.finish().await;
    old.expect(Frame::Data { stream, bytes: vec![], ends: true }).await;
    old.data(stream, "the last bytes").await;
    old.finish(stream).await;
    client.expect("the last bytes").await;
    client.expect_end().await;
    assert!(proxy.ended().await.end().is_orderly());
    old.expect(Frame::GoAway { reason: NO_ERROR }).await;
    old.expect(Frame::End).await;
    expect_open(&mut second.0, &mut new, second.1).await;
}

#[tokio::test]
async fn a_request_after_the_last_stream_of_goaway_is_sent_again() {
    let (upstream, proxy, mut old, (mut client, stream)) = opened().await;
    let mut second = proxy.connect_with_handshake().await;
    old.next_request().await;
    old.goaway(stream).await;
    old.settle().await;
    let mut new = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let again = new.next_request().await;
    second = accept_tunnel(second, &mut new, again).await;
    expect_open(&mut second, &mut new, again).await;
    expect_open(&mut client, &mut old, stream).await;
}

#[tokio::test]
async fn a_request_up_to_the_last_stream_of_goaway_gets_its_response() {
    let (_upstream, proxy, mut old, _first) = opened().await;
    let second = proxy.connect_with_handshake().await;
    let stream = old.next_request().await;
    old.goaway(stream).await;
    old.settle().await;
    let mut second = accept_tunnel(second, &mut old, stream).await;
    expect_open(&mut second, &mut old, stream).await;
}

#[tokio::test]
async fn a_refused_stream_is_tried_three_times() {
    let (upstream, mut proxy, mut connection, _first) = opened().await;
    let mut second = proxy.connect_with_handshake().await;
    for _ in 0..3 {
        let stream = connection.next_request().await;
        connection.reset_stream(stream, REFUSED_STREAM).await;
    }
    assert_eq!(second.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());

    let third = proxy.connect_with_handshake().await;
    for _ in 0..2 {
        let stream = connection.next_request().await;
        connection.reset_stream(stream, REFUSED_STREAM).await;
    }
    let stream = connection.next_request().await;
    let mut third = accept_tunnel(third, &mut connection, stream).await;
    expect_open(&mut third, &mut connection, stream).await;
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn refused_streams_and_goaway_are_counted_together() {
    let (upstream, mut proxy, mut old, (_client, first)) = opened().await;
    let mut second = proxy.connect_with_handshake().await;
    let stream = old.next_request().await;
    old.reset_stream(stream, REFUSED_STREAM).await;
    old.next_request().await;
    old.goaway(first).await;
    old.settle().await;
    let mut new = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = new.next_request().await;
    new.reset_stream(stream, REFUSED_STREAM).await;
    assert_eq!(second.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());
}

#[tokio::test]
async fn a_stream_reset_for_another_reason_is_not_tried_again() {
    let (upstream, mut proxy, mut connection, (mut client, first)) = opened().await;
    let mut second = proxy.connect_with_handshake().await;
    let stream = connection.next_request().await;
    connection.reset_stream(stream, INTERNAL_ERROR).await;
    assert_eq!(second.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());
    expect_open(&mut client, &mut connection, first).await;
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_failed_connection_ends_its_tunnels_and_is_replaced() {
    for reset in [false, true] {
        let (upstream, mut proxy, mut connection, (mut client, _)) = opened().await;
        let (mut second, _) = proxy.open_on(&mut connection).await;
        let mut pending = proxy.connect_with_handshake().await;
        connection.next_request().await;
        match reset {
            true => connection.reset_connection(),
            false => drop(connection),
        }
        assert_eq!(pending.head().await.status(), 502, "it may have been processed");
        assert!(proxy.error().await.is_upstream_protocol());
        for client in [&mut client, &mut second] {
            client.expect_close(1011).await;
            let summary = proxy.ended().await;
            assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
        }
        let (mut connection, (mut client, stream)) = open_on_new_connection(&proxy, &upstream).await;
        expect_open(&mut client, &mut connection, stream).await;
    }
}

#[tokio::test]
async fn an_unused_connection_that_fails_causes_no_failed_upgrade() {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy =
        TestProxy::start(Inner::Forward, sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())))
            .await;
    for _ in 0..20 {
        let (mut connection, (client, stream)) = open_on_new_connection(&proxy, &upstream).await;
        client.reset();
        connection.expect(Frame::Reset { stream, reason: CANCEL }).await;
        proxy.ended().await;
        // The next upgrade is sent at once.
        drop(connection);
    }
}
