//! Connections that the upstream leaves or that break.

use tower_upgrade_proxy::{Side, TunnelEnd, UpgradeProxyLayer};

use crate::{
    frames::{CANCEL, CONNECT_PROTOCOL, Frame, Frames, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM},
    proxy::{Proxy, agreed, expect_open},
    support::{Scripted, Wire},
};

/// An upstream, the proxy in front of it, and its first connection with a tunnel.
async fn opened() -> (Scripted, Proxy, Frames, (Wire, u32)) {
    let upstream = Scripted::start().await;
    let proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    let (connection, tunnel) = open_anew(&proxy, &upstream).await;
    (upstream, proxy, connection, tunnel)
}

/// A tunnel on a connection of its own.
async fn open_anew(proxy: &Proxy, upstream: &Scripted) -> (Frames, (Wire, u32)) {
    let client = proxy.asking().await;
    let mut connection = Frames::accept(upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.asked().await;
    let client = agreed(client, &mut connection, stream).await;
    (connection, (client, stream))
}

#[tokio::test]
async fn after_goaway_tunnels_continue_and_new_ones_use_a_new_connection() {
    let (upstream, mut proxy, mut old, (mut client, stream)) = opened().await;
    old.leave(stream).await;
    old.settle().await;
    let (mut new, mut second) = open_anew(&proxy, &upstream).await;
    expect_open(&mut second.0, &mut new, second.1).await;
    expect_open(&mut client, &mut old, stream).await;

    client.finish().await;
    old.expect(Frame::Data { stream, bytes: vec![], ends: true }).await;
    old.data(stream, "last words").await;
    old.finish(stream).await;
    client.expect("last words").await;
    client.expect_end().await;
    assert!(proxy.ended().await.end().is_orderly());
    old.expect(Frame::GoAway { reason: NO_ERROR }).await;
    old.expect(Frame::End).await;
    expect_open(&mut second.0, &mut new, second.1).await;
}

#[tokio::test]
async fn a_request_after_the_last_stream_of_goaway_is_sent_again() {
    let (upstream, proxy, mut old, (mut client, stream)) = opened().await;
    let mut second = proxy.asking().await;
    old.asked().await;
    old.leave(stream).await;
    old.settle().await;
    let mut new = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let again = new.asked().await;
    second = agreed(second, &mut new, again).await;
    expect_open(&mut second, &mut new, again).await;
    expect_open(&mut client, &mut old, stream).await;
}

#[tokio::test]
async fn a_request_up_to_the_last_stream_of_goaway_gets_its_response() {
    let (_upstream, proxy, mut old, _first) = opened().await;
    let second = proxy.asking().await;
    let stream = old.asked().await;
    old.leave(stream).await;
    old.settle().await;
    let mut second = agreed(second, &mut old, stream).await;
    expect_open(&mut second, &mut old, stream).await;
}

#[tokio::test]
async fn a_refused_stream_is_tried_three_times() {
    let (upstream, mut proxy, mut connection, _first) = opened().await;
    let mut second = proxy.asking().await;
    for _ in 0..3 {
        let stream = connection.asked().await;
        connection.reset_stream(stream, REFUSED_STREAM).await;
    }
    assert_eq!(second.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());

    let third = proxy.asking().await;
    for _ in 0..2 {
        let stream = connection.asked().await;
        connection.reset_stream(stream, REFUSED_STREAM).await;
    }
    let stream = connection.asked().await;
    let mut third = agreed(third, &mut connection, stream).await;
    expect_open(&mut third, &mut connection, stream).await;
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn refused_streams_and_goaway_are_counted_together() {
    let (upstream, mut proxy, mut old, (_client, first)) = opened().await;
    let mut second = proxy.asking().await;
    let stream = old.asked().await;
    old.reset_stream(stream, REFUSED_STREAM).await;
    old.asked().await;
    old.leave(first).await;
    old.settle().await;
    let mut new = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = new.asked().await;
    new.reset_stream(stream, REFUSED_STREAM).await;
    assert_eq!(second.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());
}

#[tokio::test]
async fn a_stream_reset_for_another_reason_is_not_tried_again() {
    let (upstream, mut proxy, mut connection, (mut client, first)) = opened().await;
    let mut second = proxy.asking().await;
    let stream = connection.asked().await;
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
        let (mut second, _) = proxy.open(&mut connection).await;
        let mut asking = proxy.asking().await;
        connection.asked().await;
        match reset {
            true => connection.reset_connection(),
            false => drop(connection),
        }
        assert_eq!(asking.head().await.status(), 502, "it may have been processed");
        assert!(proxy.error().await.is_upstream_protocol());
        for client in [&mut client, &mut second] {
            client.expect_close(1011).await;
            let summary = proxy.ended().await;
            assert!(matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. }), "{summary:?}");
        }
        let (mut connection, (mut client, stream)) = open_anew(&proxy, &upstream).await;
        expect_open(&mut client, &mut connection, stream).await;
    }
}

#[tokio::test]
async fn an_unused_connection_that_fails_causes_no_failed_upgrade() {
    let upstream = Scripted::start().await;
    let mut proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    for _ in 0..20 {
        let (mut connection, (client, stream)) = open_anew(&proxy, &upstream).await;
        client.reset();
        connection.expect(Frame::Reset { stream, reason: CANCEL }).await;
        proxy.ended().await;
        // The next upgrade is on its way at once.
        drop(connection);
    }
}
