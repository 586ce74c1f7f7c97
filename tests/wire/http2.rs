//! WebSockets from HTTP/2 clients: extended CONNECT
//! ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)) to an upstream in HTTP/1.1.

use axum::{Router, routing::any};
use h2::{RecvStream, ext::Protocol};
use http::{Method, Request, Response, request::Builder};
use test_support::{
    SWITCHING, ScriptedUpstream, Wire, bounded,
    http2::{Client, Stream, stream::rest},
    proxy::describe,
    serve, switching_protocols,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};

use crate::app;

pub(crate) fn extended(protocol: &'static str) -> Builder {
    Request::connect("https://a.example/chat?q=1")
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
}

/// Sends a request without a body, or for a tunnel that is not used.
pub(crate) async fn send(client: &mut Client, request: Builder) -> Response<RecvStream> {
    let is_tunnel = request.method_ref() == Some(&Method::CONNECT);
    client.send_request(request.body(()).unwrap(), !is_tunnel).response().await.0
}

async fn text(response: Response<RecvStream>) -> String {
    String::from_utf8(rest(&mut response.into_body()).await.unwrap().0).unwrap()
}

/// Opens a tunnel on a stream of `client`. Returns both ends.
async fn tunnel(client: &mut Client, upstream: &ScriptedUpstream) -> (Stream, Wire) {
    let pending = client.send_request(extended("websocket").body(()).unwrap(), false);
    tokio::join!(pending.tunnel(), upstream.accept_upgrade())
}

#[tokio::test]
async fn an_extended_connect_becomes_a_get_and_its_101_a_200() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).forwarded(Forwarded::nginx());
    let mut client = Client::connect(app(layer).await).await;
    let request = extended("websocket")
        .header("origin", "https://a.example")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("sec-websocket-key", "a key that the client does not need")
        .header("sec-websocket-protocol", "chat, superchat")
        .header("sec-websocket-extensions", "permessage-deflate");
    let pending = client.send_request(request.body(()).unwrap(), false);
    let mut server = upstream.accept().await;
    let head = server.head().await;
    let fields = "Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: c=3\r\nKeep-Alive: timeout=5\r\n";
    server.send(switching_protocols(&head, fields)).await;
    let (response, up) = pending.response().await;

    assert_eq!(head.first_line(), "GET /chat?q=1 HTTP/1.1");
    for (name, value) in [
        ("host", "a.example"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("origin", "https://a.example"),
        ("cookie", "a=1; b=2"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("x-forwarded-proto", "http"),
    ] {
        assert_eq!(head.values(name), [value], "{name}");
    }
    assert_eq!(head.values("sec-websocket-key")[0].len(), 24, "16 bytes in base64");

    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(
        (&headers["sec-websocket-protocol"], &headers["set-cookie"]),
        (&"superchat".parse().unwrap(), &"c=3".parse().unwrap())
    );
    for gone in ["sec-websocket-accept", "connection", "upgrade", "keep-alive", "content-length"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    let mut stream = Stream::new(up, response.into_body());
    // A masked frame arrives unchanged.
    stream.write_all(b"\x81\x82\x01\x02\x03\x04ik").await.unwrap();
    server.expect(b"\x81\x82\x01\x02\x03\x04ik").await;
    server.send(b"\x81\x02hi").await;
    let mut read = [0; 4];
    bounded("the frame", stream.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"\x81\x02hi");
}

#[tokio::test]
async fn each_handshake_has_its_own_key() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let (_, mut key) = tokio::join!(send(&mut client, extended("websocket")), async {
            let mut server = upstream.accept().await;
            let head = server.head().await;
            server.send(switching_protocols(&head, "")).await;
            head.values("sec-websocket-key")
        });
        assert!(!keys.contains(&key[0]), "{key:?} twice");
        keys.append(&mut key);
    }
}

#[tokio::test]
async fn a_refusal_is_relayed_whole_and_the_connection_stays_open() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let (response, ()) = tokio::join!(send(&mut client, extended("websocket")), async {
        let mut server = upstream.accept().await;
        server.head().await;
        server
            .send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Why: version\r\nContent-Length: 3\r\n\r\nold")
            .await;
    });
    assert_eq!((response.status().as_u16(), response.headers()["x-why"].to_str().unwrap()), (426, "version"));
    assert!(!response.headers().contains_key("upgrade") && !response.headers().contains_key("connection"));
    assert_eq!(text(response).await, "old");
    let (mut stream, mut server) = tunnel(&mut client, &upstream).await;
    stream.write_all(b"still there").await.unwrap();
    server.expect("still there").await;
}

#[tokio::test]
async fn a_2xx_that_accepts_no_upgrade_is_a_502() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let (response, ()) = tokio::join!(send(&mut client, extended("websocket")), async {
        let mut server = upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
    });
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn a_wrong_accept_value_is_a_502() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let (response, ()) = tokio::join!(send(&mut client, extended("websocket")), async {
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(SWITCHING).await;
    });
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn a_protocol_that_is_not_allowed_goes_to_the_inner_service() {
    let upstream = ScriptedUpstream::start().await;
    let app = Router::new().route("/chat", any(describe)).layer(UpgradeProxyLayer::new(upstream.upstream()));
    let mut client = Client::connect(serve(app).await).await;
    let response = send(&mut client, extended("connect-udp")).await;
    assert_eq!(response.status(), 200);
    assert!(text(response).await.is_empty(), "a response to CONNECT has no body");
}

#[tokio::test]
async fn a_connect_without_protocol_goes_to_the_inner_service() {
    let upstream = ScriptedUpstream::start().await;
    let inner = Router::new().fallback(|| async { http::StatusCode::IM_A_TEAPOT });
    let mut client =
        Client::connect(serve(inner.layer(UpgradeProxyLayer::new(upstream.upstream()))).await).await;
    assert_eq!(send(&mut client, Request::connect("a.example:443")).await.status(), 418);
}

#[tokio::test]
async fn a_half_close_is_forwarded_both_ways() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;

    let (mut stream, mut server) = tunnel(&mut client, &upstream).await;
    stream.write_all(b"the last bytes").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(server.rest().await, b"the last bytes");
    server.send("response").await;
    drop(server);
    let mut read = String::new();
    bounded("the response", stream.read_to_string(&mut read)).await.unwrap();
    assert_eq!(read, "response");

    let (mut stream, mut server) = tunnel(&mut client, &upstream).await;
    server.send("done").await;
    server.finish().await;
    let mut read = String::new();
    bounded("the end", stream.read_to_string(&mut read)).await.unwrap();
    assert_eq!(read, "done");
    stream.write_all(b"received").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(server.rest().await, b"received");
}

#[tokio::test]
async fn bulk_data_arrives_unchanged_while_another_stream_is_stalled() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let (_stalled, mut flooding) = tunnel(&mut client, &upstream).await;
    let flood = tokio::spawn(async move {
        let block = vec![0; 1 << 16];
        while flooding.stream.write_all(&block).await.is_ok() {}
    });
    let (mut stream, mut server) = tunnel(&mut client, &upstream).await;
    let sent: Vec<u8> = (0..1_u32 << 20).flat_map(u32::to_be_bytes).collect();
    let mut received = vec![0; sent.len()];
    let (_, read) = tokio::join!(server.send(&sent), bounded("down", stream.read_exact(&mut received)));
    read.unwrap();
    assert!(received == sent);
    let (written, read) = tokio::join!(bounded("up", stream.write_all(&sent)), server.exactly(sent.len()));
    written.unwrap();
    assert!(read == sent);
    flood.abort();
}
