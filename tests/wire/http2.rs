//! WebSockets from HTTP/2 clients: extended CONNECT
//! ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)) to an upstream in HTTP/1.1.

use std::net::SocketAddr;

use axum::{Router, routing::any};
use http::{Request, Response, request::Builder};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::{self, SendRequest},
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};

use crate::{
    app, describe,
    support::{ScriptedUpstream, Wire, accept, bounded, serve},
};

pub(crate) type Client = SendRequest<Empty<Bytes>>;
type Tunnel = TokioIo<hyper::upgrade::Upgraded>;

/// Opens a connection in HTTP/2 by prior knowledge.
pub(crate) async fn connect(address: SocketAddr) -> Client {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn extended(protocol: &'static str) -> Builder {
    Request::connect("https://a.example/chat?q=1")
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
}

pub(crate) async fn send(client: &mut Client, request: Builder) -> Response<Incoming> {
    bounded("the response", client.send_request(request.body(Empty::new()).unwrap())).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = bounded("the body", response.into_body().collect()).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// Reads a handshake and accepts it. Returns its key.
async fn accept_upgrade(server: &mut Wire, fields: &str) -> String {
    let head = server.head().await;
    let [key] = &head.values("sec-websocket-key")[..] else { panic!("one key: {head:?}") };
    let accept = accept(key);
    server
        .send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
        ))
        .await;
    key.clone()
}

/// Opens a tunnel on a stream of `client`. Returns both ends.
async fn tunnel(client: &mut Client, upstream: &ScriptedUpstream) -> (Tunnel, Wire) {
    let (response, server) = tokio::join!(send(client, extended("websocket")), async {
        let mut server = upstream.accept().await;
        accept_upgrade(&mut server, "").await;
        server
    });
    assert_eq!(response.status(), 200);
    (TokioIo::new(bounded("the stream", hyper::upgrade::on(response)).await.unwrap()), server)
}

#[tokio::test]
async fn an_extended_connect_becomes_a_get_and_its_101_a_200() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).forwarded(Forwarded::nginx());
    let mut client = connect(app(layer).await).await;
    let request = extended("websocket")
        .header("origin", "https://a.example")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("sec-websocket-key", "a key that the client does not need")
        .header("sec-websocket-protocol", "chat, superchat")
        .header("sec-websocket-extensions", "permessage-deflate");
    let (response, (head, mut server)) = tokio::join!(send(&mut client, request), async {
        let mut server = upstream.accept().await;
        let head = server.head().await;
        let accept = accept(&head.values("sec-websocket-key")[0]);
        let fields = "Sec-WebSocket-Protocol: superchat\r\nSet-Cookie: c=3\r\nKeep-Alive: timeout=5";
        server
            .send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n\r\n"
            ))
            .await;
        (head, server)
    });

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
        ("x-forwarded-proto", "https"),
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
    let mut stream = TokioIo::new(bounded("the stream", hyper::upgrade::on(response)).await.unwrap());
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
    let mut client = connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let (_, key) = tokio::join!(send(&mut client, extended("websocket")), async {
            accept_upgrade(&mut upstream.accept().await, "").await
        });
        assert!(!keys.contains(&key), "{key} twice");
        keys.push(key);
    }
}

#[tokio::test]
async fn a_refusal_is_relayed_whole_and_the_connection_stays_open() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
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
    let mut client = connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
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
    let mut client = connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let (response, ()) = tokio::join!(send(&mut client, extended("websocket")), async {
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(crate::support::SWITCHING).await;
    });
    assert_eq!(response.status(), 502);
}

#[tokio::test]
async fn a_protocol_that_is_not_allowed_goes_to_the_inner_service() {
    let upstream = ScriptedUpstream::start().await;
    let app = Router::new().route("/chat", any(describe)).layer(UpgradeProxyLayer::new(upstream.upstream()));
    let mut client = connect(serve(app).await).await;
    let response = send(&mut client, extended("connect-udp")).await;
    assert_eq!(response.status(), 200);
    assert!(text(response).await.is_empty(), "a response to CONNECT has no body");
}

#[tokio::test]
async fn a_connect_without_protocol_goes_to_the_inner_service() {
    let upstream = ScriptedUpstream::start().await;
    let inner = Router::new().fallback(|| async { http::StatusCode::IM_A_TEAPOT });
    let mut client = connect(serve(inner.layer(UpgradeProxyLayer::new(upstream.upstream()))).await).await;
    assert_eq!(send(&mut client, Request::connect("a.example:443")).await.status(), 418);
}

#[tokio::test]
async fn a_half_close_is_forwarded_both_ways() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;

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
    let mut client = connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
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
