//! Streams of a connection up to the upstream's limit, and further connections.

use std::time::Duration;

use test_support::{
    ScriptedUpstream, TestProxy, Wire,
    http2::{
        Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL, max_streams},
    },
    proxy::{Inner, accept_tunnel, expect_open, sending_closes},
};
use tokio::sync::mpsc::unbounded_channel;
use tower_upgrade_proxy::{Http2, UpgradeProxyLayer};

async fn proxy_for(upstream: &ScriptedUpstream) -> TestProxy {
    TestProxy::start(Inner::Forward, sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())))
        .await
}

/// Starts a proxy with at most one connection, which allows one stream.
async fn single(
    upstream: &ScriptedUpstream,
    change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
) -> TestProxy {
    let layer = sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2()))
        .http2(Http2::new().max_connections(1));
    TestProxy::start(Inner::Forward, change(layer)).await
}

const SINGLE: [(u16, u32); 2] = [CONNECT_PROTOCOL, max_streams(1)];

#[tokio::test]
async fn a_second_connection_is_opened_when_the_first_is_full_and_free_streams_are_reused() {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy = proxy_for(&upstream).await;
    let settings = [CONNECT_PROTOCOL, max_streams(2)];
    let opening = proxy.connect_with_handshake().await;
    let mut one = FrameConnection::accept(&upstream, &settings).await;
    let stream = one.next_request().await;
    let mut a = (accept_tunnel(opening, &mut one, stream).await, stream);
    let mut b = proxy.open_on(&mut one).await;
    upstream.expect_untouched().await;

    let opening = proxy.connect_with_handshake().await;
    let mut two = FrameConnection::accept(&upstream, &settings).await;
    let stream = two.next_request().await;
    let mut c = (accept_tunnel(opening, &mut two, stream).await, stream);
    expect_open(&mut a.0, &mut one, a.1).await;
    expect_open(&mut b.0, &mut one, b.1).await;
    expect_open(&mut c.0, &mut two, c.1).await;

    a.0.reset();
    one.expect(Frame::Reset { stream: a.1, reason: CANCEL }).await;
    proxy.ended().await;
    let mut d = proxy.open_on(&mut one).await;
    expect_open(&mut d.0, &mut one, d.1).await;
    expect_open(&mut b.0, &mut one, b.1).await;
    let mut e = proxy.open_on(&mut two).await;
    expect_open(&mut e.0, &mut two, e.1).await;
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn concurrent_upgrades_open_no_more_connections_than_needed() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = proxy_for(&upstream).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(proxy.connect_with_handshake().await);
    }
    let mut connections = Vec::new();
    for requests in [2, 2, 1] {
        let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL, max_streams(2)]).await;
        for _ in 0..requests {
            let stream = connection.next_request().await;
            connection.accept_tunnel(stream).await;
        }
        connections.push(connection);
    }
    for client in &mut clients {
        assert_eq!(client.head().await.status(), 101);
    }
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_changed_stream_limit_is_followed() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = proxy_for(&upstream).await;
    let opening = proxy.connect_with_handshake().await;
    let mut one = FrameConnection::accept(&upstream, &SINGLE).await;
    let stream = one.next_request().await;
    let _a = accept_tunnel(opening, &mut one, stream).await;
    one.settings(&[max_streams(3)]).await;
    let _b = proxy.open_on(&mut one).await;
    one.settings(&[max_streams(2)]).await;

    let opening = proxy.connect_with_handshake().await;
    let mut two = FrameConnection::accept(&upstream, &SINGLE).await;
    let stream = two.next_request().await;
    let mut c = accept_tunnel(opening, &mut two, stream).await;
    expect_open(&mut c, &mut two, stream).await;
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_response_releases_its_stream() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = single(&upstream, |layer| layer).await;
    let opening = proxy.connect_with_handshake().await;
    let mut one = FrameConnection::accept(&upstream, &SINGLE).await;
    let stream = one.next_request().await;
    drop(opening);
    one.expect(Frame::Reset { stream, reason: CANCEL }).await;
    let (mut client, stream) = proxy.open_on(&mut one).await;
    expect_open(&mut client, &mut one, stream).await;
}

#[tokio::test]
async fn no_free_stream_within_the_connect_timeout_is_a_503() {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy = single(&upstream, |layer| layer.connect_timeout(Duration::from_secs(1))).await;
    let opening = proxy.connect_with_handshake().await;
    let mut one = FrameConnection::accept(&upstream, &SINGLE).await;
    let stream = one.next_request().await;
    let mut first = accept_tunnel(opening, &mut one, stream).await;

    let mut second = proxy.connect_with_handshake().await;
    let head = second.head().await;
    assert_eq!((head.status(), head.values("retry-after")), (503, vec!["5".to_owned()]));
    let error = proxy.error().await;
    assert!(error.is_no_stream_free() && !error.is_timeout(), "{error}");
    assert!(error.to_string().contains(&upstream.uri()), "{error}");
    expect_open(&mut first, &mut one, stream).await;
    upstream.expect_untouched().await;
}

/// Opens a tunnel on the only stream, with clients that wait for a stream.
async fn full(
    upstream: &ScriptedUpstream,
    waiting: usize,
) -> (TestProxy, FrameConnection, (Wire, u32), Vec<Wire>) {
    let (sender, mut rewritten) = unbounded_channel();
    let proxy = single(upstream, |layer| layer.on_request(move |_, _| sender.send(()).unwrap())).await;
    let opening = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(upstream, &SINGLE).await;
    let stream = connection.next_request().await;
    let first = accept_tunnel(opening, &mut connection, stream).await;
    rewritten.recv().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..waiting {
        clients.push(proxy.connect_with_handshake().await);
        // The request waits from here on.
        rewritten.recv().await.unwrap();
    }
    (proxy, connection, (first, stream), clients)
}

#[tokio::test]
async fn a_waiting_upgrade_gets_the_stream_of_a_tunnel_that_ends() {
    let upstream = ScriptedUpstream::start().await;
    let (_proxy, mut one, (first, stream), waiting) = full(&upstream, 3).await;
    first.reset();
    one.expect(Frame::Reset { stream, reason: CANCEL }).await;
    for client in waiting {
        let stream = one.next_request().await;
        let mut client = accept_tunnel(client, &mut one, stream).await;
        expect_open(&mut client, &mut one, stream).await;
        client.reset();
        one.expect(Frame::Reset { stream, reason: CANCEL }).await;
    }
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_waiting_upgrade_proceeds_when_the_stream_limit_is_raised() {
    let upstream = ScriptedUpstream::start().await;
    let (_proxy, mut one, _first, mut waiting) = full(&upstream, 1).await;
    one.settings(&[max_streams(2)]).await;
    let stream = one.next_request().await;
    let mut client = accept_tunnel(waiting.remove(0), &mut one, stream).await;
    expect_open(&mut client, &mut one, stream).await;
}

#[tokio::test]
async fn a_waiting_upgrade_gets_a_new_connection_after_goaway() {
    let upstream = ScriptedUpstream::start().await;
    let (_proxy, mut one, (mut client, stream), mut waiting) = full(&upstream, 1).await;
    one.goaway(stream).await;
    one.settle().await;
    let mut two = FrameConnection::accept(&upstream, &SINGLE).await;
    let again = two.next_request().await;
    let mut second = accept_tunnel(waiting.remove(0), &mut two, again).await;
    expect_open(&mut second, &mut two, again).await;
    expect_open(&mut client, &mut one, stream).await;
}
