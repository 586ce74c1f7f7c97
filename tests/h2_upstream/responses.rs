//! Responses to an extended CONNECT, valid and invalid.

use std::{net::SocketAddr, time::Duration};

use test_support::{
    Head, ScriptedUpstream, TestProxy, Wire, handshake,
    http2::{
        Client, Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL, INTERNAL_ERROR, NO_ERROR, OK},
    },
    proxy::{Inner, expect_open, sending_closes},
};
use tokio::net::TcpSocket;
use tower_upgrade_proxy::{Side, TunnelEnd, UpgradeProxyLayer};

/// Sends an upgrade. Returns the client, and the upstream's connection and stream for the response.
async fn requested(
    change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
) -> (TestProxy, Wire, FrameConnection, u32) {
    let upstream = ScriptedUpstream::start().await;
    let proxy = TestProxy::start(
        Inner::Forward,
        change(sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2()))),
    )
    .await;
    let client = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_request().await;
    (proxy, client, connection, stream)
}

/// Connects with a small receive buffer.
async fn slow_reader(address: SocketAddr) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1 << 12).unwrap();
    Wire::new(socket.connect(address).await.unwrap())
}

/// Returns the client's response to one of the upstream with the header block `block`.
async fn responded(block: &[u8]) -> (TestProxy, Head, (Wire, FrameConnection, u32)) {
    let (proxy, mut client, mut connection, stream) = requested(|layer| layer).await;
    connection.headers(stream, block).await;
    let head = client.head().await;
    (proxy, head, (client, connection, stream))
}

#[tokio::test]
async fn any_2xx_accepts_the_upgrade() {
    let [ok, no_content] = [OK, b"\x89"];
    for block in [ok, no_content, b"\x08\x03299"] {
        let (_proxy, head, (mut client, mut connection, stream)) = responded(block).await;
        assert_eq!(head.first_line(), "HTTP/1.1 101 Switching Protocols");
        expect_open(&mut client, &mut connection, stream).await;
    }
}

#[tokio::test]
async fn interim_responses_before_a_2xx_are_skipped() {
    let (_proxy, mut client, mut connection, stream) = requested(|layer| layer).await;
    connection.headers(stream, b"\x08\x03103").await;
    connection.headers(stream, b"\x08\x03100").await;
    connection.accept_tunnel(stream).await;
    assert_eq!(client.head().await.status(), 101);
    expect_open(&mut client, &mut connection, stream).await;
}

#[tokio::test]
async fn a_2xx_with_end_stream_opens_a_half_closed_tunnel() {
    let (mut proxy, mut client, mut connection, stream) = requested(|layer| layer).await;
    connection.last_headers(stream, OK).await;
    assert_eq!(client.head().await.status(), 101);
    client.exactly(2 + 2 + "the upstream has gone".len()).await;
    client.expect_end().await;
    client.send("hello").await;
    connection.expect_data(stream, "hello").await;
    client.finish().await;
    connection.expect(Frame::Data { stream, bytes: vec![], ends: true }).await;
    let summary = proxy.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{summary:?}");
    assert_eq!(summary.bytes(Side::Client), 5);
}

#[tokio::test]
async fn the_content_length_of_a_2xx_is_removed() {
    let block = b"\x88\x0f\x0d\x015";
    let (proxy, head, (mut client, mut connection, stream)) = responded(block).await;
    assert_eq!((head.status(), head.values("content-length").len()), (101, 0));
    connection.data(stream, "hello").await;
    client.expect("hello").await;
    client.send("from the client").await;
    connection.expect_data(stream, "from the client").await;

    let pending = Client::connect(proxy.address).await.connect_websocket("/");
    let stream = connection.next_request().await;
    connection.headers(stream, block).await;
    let (response, _) = pending.response().await;
    assert_eq!((response.status().as_u16(), response.headers().get("content-length")), (200, None));
}

#[tokio::test]
async fn a_malformed_response_is_a_502_and_its_stream_is_reset() {
    // A hop-by-hop field, and a missing status.
    for block in [&b"\x88\x00\x0aconnection\x05close"[..], b"\x00\x01x\x011"] {
        let (mut proxy, head, (_, mut connection, stream)) = responded(block).await;
        assert_eq!(head.status(), 502, "{block:?}");
        let error = proxy.error().await;
        assert!(error.is_upstream_protocol(), "{error}");
        let frame = connection.next().await;
        assert!(matches!(frame, Frame::Reset { stream: of, .. } if of == stream), "{frame:?} {block:?}");
        let (mut client, stream) = proxy.open_on(&mut connection).await;
        expect_open(&mut client, &mut connection, stream).await;
    }
}

#[tokio::test]
async fn an_unverified_2xx_is_a_502_and_its_stream_is_reset() {
    // Sec-WebSocket-Protocol, which the client did not offer.
    let block = b"\x88\x00\x16sec-websocket-protocol\x04mqtt";
    let (mut proxy, head, (_, mut connection, stream)) = responded(block).await;
    assert_eq!(head.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());
    connection.expect(Frame::Reset { stream, reason: CANCEL }).await;
}

#[tokio::test]
async fn the_handshake_timeout_is_a_504_and_resets_the_stream() {
    let (mut proxy, mut client, mut connection, stream) =
        requested(|layer| layer.handshake_timeout(Duration::from_secs(1))).await;
    assert_eq!(client.head().await.status(), 504);
    assert!(proxy.error().await.is_timeout());
    connection.expect(Frame::Reset { stream, reason: CANCEL }).await;
    let (mut client, stream) = proxy.open_on(&mut connection).await;
    expect_open(&mut client, &mut connection, stream).await;
}

#[tokio::test]
async fn a_refusal_is_relayed_and_the_connection_stays_open() {
    let (proxy, mut client, mut connection, stream) = requested(|layer| layer).await;
    connection.headers(stream, b"\x8d").await;
    let head = client.head().await;
    assert_eq!(head.status(), 404);
    connection.expect(Frame::Data { stream, bytes: vec![], ends: true }).await;
    connection.data(stream, "no such room").await;
    connection.finish(stream).await;
    assert_eq!(client.body(&head).await, b"no such room");
    let (mut client, stream) = proxy.open_on(&mut connection).await;
    expect_open(&mut client, &mut connection, stream).await;
}

#[tokio::test]
async fn an_incomplete_refusal_aborts_the_clients_response() {
    let (_proxy, mut client, mut connection, stream) = requested(|layer| layer).await;
    connection.headers(stream, b"\x8d").await;
    assert_eq!(client.head().await.status(), 404);
    connection.data(stream, "no such").await;
    client.expect("7\r\nno such\r\n").await;
    connection.reset_stream(stream, INTERNAL_ERROR).await;
    client.expect_end().await;
}

/// Codes of a reset after `END_STREAM`, which stops the other direction: sent by servers of the `h2` crate that drop a
/// stream, and by HAProxy.
const STOP_SENDING: [u32; 2] = [NO_ERROR, CANCEL];

#[tokio::test]
async fn a_reset_after_end_stream_is_an_orderly_end() {
    for code in STOP_SENDING {
        let (mut proxy, mut client, mut connection, stream) = requested(|layer| layer).await;
        connection.accept_tunnel(stream).await;
        client.head().await;
        connection.data(stream, "the last bytes").await;
        connection.finish(stream).await;
        connection.reset_stream(stream, code).await;
        client.expect("the last bytes").await;
        client.expect_end().await;
        client.finish().await;
        let summary = proxy.ended().await;
        assert_eq!(summary.bytes(Side::Upstream), 14);
        assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{summary:?}");
    }
}

#[tokio::test]
async fn data_before_a_reset_after_end_stream_is_delivered_completely() {
    for code in STOP_SENDING {
        let upstream = ScriptedUpstream::start().await;
        let mut proxy = TestProxy::start(
            Inner::Forward,
            sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())),
        )
        .await;
        let mut client = slow_reader(proxy.address).await;
        client.send(handshake("/")).await;
        let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
        let stream = connection.next_request().await;
        connection.accept_tunnel(stream).await;
        client.head().await;
        let last_bytes = "x".repeat(1 << 14);
        for _ in 0..3 {
            connection.data(stream, &last_bytes).await;
        }
        connection.finish(stream).await;
        connection.reset_stream(stream, code).await;
        connection.settle().await;
        client.send("goodbye").await;
        let summary = proxy.ended().await;
        assert_eq!(summary.bytes(Side::Upstream), 3 << 14);
        assert_eq!(client.rest().await.len(), 3 << 14);
    }
}
