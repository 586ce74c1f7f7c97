//! J. Handshakes in HTTP/2 with an HTTP/1.1 upstream.

use axum::{Router, routing::get};
use http::{HeaderMap, Request};
use test_support::{
    Inner, ScriptedProxy, ScriptedUpstream,
    http2::{
        Client, Frame, FrameConnection,
        frame::{PROTOCOL_ERROR, literal_fields, websocket},
        stream::{expect, rest, send},
    },
    serve, switching_protocols,
};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::targets::INVALID_AUTHORITIES;

/// Requires that a tunnel can be opened on the client's connection, and transfers data.
async fn expect_alive(proxy: &ScriptedProxy, client: &mut Client) {
    let pending = client.connect_websocket("/");
    let mut server = proxy.upstream.accept_upgrade().await;
    let (response, mut up) = pending.response().await;
    assert_eq!(response.status(), 200);
    send(&mut up, b"ping").await;
    server.expect("ping").await;
    server.send("pong").await;
    expect(&mut response.into_body(), "pong").await;
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

async fn j1_101_becomes_200_without_hop_by_hop_fields(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = Client::connect(proxy.address).await;
    let request = Request::connect("http://a.example/chat")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat, superchat");
    let pending = client.send_request(request.body(()).unwrap(), false);
    let mut server = proxy.upstream.accept().await;
    let head = server.head().await;
    assert_eq!(head.first_line(), "GET /chat HTTP/1.1");
    assert_eq!(
        (head.values("upgrade"), head.values("connection")),
        (vec!["websocket".into()], vec!["Upgrade".into()])
    );
    let lines = "Sec-WebSocket-Protocol: superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
        Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\
        Transfer-Encoding: chunked\r\nProxy-Connection: upgrade\r\n\
        Connection: X-Hop\r\nX-Hop: 1\r\n";
    server.send(switching_protocols(&head, lines) + "first").await;
    let (response, _up) = pending.response().await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    for name in [
        "connection",
        "upgrade",
        "sec-websocket-accept",
        "keep-alive",
        "content-length",
        "transfer-encoding",
        "proxy-connection",
        "x-hop",
    ] {
        assert!(!headers.contains_key(name), "{name}");
    }
    assert_eq!(values(headers, "sec-websocket-protocol"), ["superchat"]);
    assert_eq!(values(headers, "sec-websocket-extensions"), ["permessage-deflate"]);
    assert_eq!(values(headers, "set-cookie"), ["a=1", "b=2"]);
    expect(&mut response.into_body(), "first").await;
}

async fn j1_mismatched_101_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = Client::connect(proxy.address).await;
    for (from, to) in [
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: unrequested\r\n\r\n"),
    ] {
        let pending = client.connect_websocket("/");
        let mut server = proxy.upstream.accept().await;
        let head = server.head().await;
        server.send(switching_protocols(&head, "").replace(from, to)).await;
        assert_eq!(pending.response().await.0.status(), 502, "{to}");
        server.expect_end().await;
    }
    expect_alive(&proxy, &mut client).await;
}

async fn j2_2xx_is_502_and_opens_no_tunnel(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = Client::connect(proxy.address).await;
    for status in
        ["200 OK", "201 Created", "202 Accepted", "204 No Content", "206 Partial Content", "299 Odd"]
    {
        let pending = client.connect_websocket("/");
        let mut server = proxy.upstream.accept().await;
        server.head().await;
        let length = if status.starts_with("204") { "" } else { "Content-Length: 5\r\n" };
        server.send(format!("HTTP/1.1 {status}\r\nUpgrade: websocket\r\n{length}\r\nhello")).await;
        let (response, mut up) = pending.response().await;
        assert_eq!(response.status(), 502, "{status}");
        // The stream may have been reset.
        let _ = up.send_data("discarded".into(), true);
        assert!(server.rest().await.is_empty(), "{status}");
    }
    expect_alive(&proxy, &mut client).await;
}

async fn j3_refusal_is_relayed_with_its_body(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = Client::connect(proxy.address).await;
    for status in [400, 401, 403, 404, 426, 500, 503, 599] {
        for chunked in [true, false] {
            let pending = client.connect_websocket("/");
            let mut server = proxy.upstream.accept().await;
            server.head().await;
            let body = if chunked {
                "Transfer-Encoding: chunked\r\n\r\n3\r\nnot\r\n4\r\n you\r\n0\r\n\r\n"
            } else {
                "Content-Length: 7\r\n\r\nnot you"
            };
            let fields = "X-Why: because\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: websocket";
            server.send(format!("HTTP/1.1 {status} No\r\n{fields}\r\n{body}")).await;
            let (response, _up) = pending.response().await;
            assert_eq!(response.status(), status);
            let headers = response.headers();
            assert_eq!(values(headers, "x-why"), ["because"]);
            for name in ["connection", "upgrade", "x-hop", "transfer-encoding"] {
                assert!(!headers.contains_key(name), "{status} {name}");
            }
            let (body, trailers) = rest(&mut response.into_body()).await.unwrap();
            assert_eq!((body, trailers), (b"not you".to_vec(), None), "{status}");
        }
    }
    expect_alive(&proxy, &mut client).await;
}

/// Other protocols are passed to the application, which responds with a 405 if it allows only GET.
async fn j4_other_protocols_are_not_upgraded(inner: Inner) {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream());
    let (app, status) = match inner {
        Inner::Application => (Router::new().route("/chat", get("hello")).layer(layer), 405),
        Inner::Forward => (inner.app(layer), 501),
    };
    let proxy = ScriptedProxy { inner, upstream, address: serve(app).await };
    let mut client = Client::connect(proxy.address).await;
    for protocol in
        ["h2c", "connect-udp", "webtransport", "unknown", "websocket, h2c", "websocket ", "tls/1.0"]
    {
        let request = Request::connect("http://a.example/chat").extension(h2::ext::Protocol::from(protocol));
        let pending = client.send_request(request.body(()).unwrap(), false);
        assert_eq!(pending.response().await.0.status().as_u16(), status, "{protocol}");
    }
    proxy.upstream.expect_untouched().await;
    expect_alive(&proxy, &mut client).await;
}

async fn j4_malformed_connect_resets_only_its_stream(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = FrameConnection::connect(proxy.address).await;
    let connect = [(":method", "CONNECT"), (":protocol", "websocket")];
    let target = [(":scheme", "https"), (":path", "/chat"), (":authority", "a.example")];
    let with = |more: &[(&'static str, &'static str)]| [&connect[..], &target, more].concat();
    let cases = [
        [&connect[..], &target[..1], &target[2..]].concat(),
        [&connect[..], &target[1..]].concat(),
        with(&[("connection", "upgrade")]),
        with(&[("upgrade", "websocket")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("keep-alive", "5")]),
        with(&[("te", "gzip")]),
        with(&[("x", "1"), (":path", "/late")]),
        with(&[(":path", "/twice")]),
        with(&[("content-length", "x")]),
        [&connect[..], &target[..2], &[(":authority", "%2Frun%2Fa.sock")]].concat(),
        [&[(":method", "GET")], &target[..2], &[(":authority", "%2Frun%2Fa.sock")]].concat(),
    ];
    for block in cases {
        let stream = client.open_stream(&literal_fields(&block)).await;
        let frame = client.next_of(stream).await;
        assert_eq!(frame, Frame::Reset { stream, reason: PROTOCOL_ERROR }, "{block:?}");
    }
    proxy.upstream.expect_untouched().await;
    // A content-length of 0 is allowed, but then no data may follow.
    let stream = client.open_stream(&literal_fields(&with(&[("content-length", "0")]))).await;
    let mut server = proxy.upstream.accept().await;
    let head = server.head().await;
    assert!(head.values("content-length").is_empty());
    server.send(switching_protocols(&head, "")).await;
    assert_eq!(client.status(stream).await, 200);
    client.data(stream, "more").await;
    assert_eq!(client.next_of(stream).await, Frame::Reset { stream, reason: PROTOCOL_ERROR });
    assert!(!server.rest().await.starts_with(b"more"));

    let stream = client.open_stream(&websocket()).await;
    let mut server = proxy.upstream.accept_upgrade().await;
    assert_eq!(client.status(stream).await, 200);
    client.data(stream, "alive").await;
    server.expect("alive").await;
}

/// h2 treats a block that it cannot decode as a connection error. For a content-length, hyper closes the
/// connection without a GOAWAY.
async fn j4_malformed_header_block_or_length_closes_only_its_connection(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut other = Client::connect(proxy.address).await;
    let goaway = Frame::GoAway { reason: PROTOCOL_ERROR };
    let length = [websocket(), literal_fields(&[("content-length", "5")])].concat();
    for (block, end) in [
        (literal_fields(&[(":unknown", "1")]), &goaway),
        (literal_fields(&[("X-Upper", "1")]), &goaway),
        (b"\x80".to_vec(), &goaway),
        (b"\xff\xff".to_vec(), &goaway),
        (length, &Frame::End),
    ] {
        let mut client = FrameConnection::connect(proxy.address).await;
        let stream = client.open_stream(&websocket()).await;
        let mut server = proxy.upstream.accept_upgrade().await;
        assert_eq!(client.status(stream).await, 200);
        client.open_stream(&block).await;
        assert_eq!(client.next().await, *end, "{block:?}");
        server.rest().await;
    }
    proxy.upstream.expect_untouched().await;
    expect_alive(&proxy, &mut other).await;
}

async fn j4_invalid_authority_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = Client::connect(proxy.address).await;
    for authority in INVALID_AUTHORITIES {
        let uri = format!("http://{authority}/");
        let request = Request::connect(&uri).extension(h2::ext::Protocol::from_static("websocket"));
        let pending = client.send_request(request.body(()).unwrap(), false);
        assert_eq!(pending.response().await.0.status(), 400, "{authority}");
        let pending = client.send_request(Request::get(&uri).body(()).unwrap(), true);
        let status = if inner == Inner::Forward { 400 } else { 200 };
        assert_eq!(pending.response().await.0.status(), status, "{authority}");
    }
    proxy.upstream.expect_untouched().await;
    expect_alive(&proxy, &mut client).await;
}

async fn j5_data_before_the_200_waits_for_the_101(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = FrameConnection::connect(proxy.address).await;
    for accepts in [true, false] {
        let stream = client.open_stream(&websocket()).await;
        client.data(stream, "GET /smuggled HTTP/1.1\r\n").await;
        client.data(stream, "Host: a\r\n\r\n").await;
        client.settle().await;
        let mut server = proxy.upstream.accept().await;
        let head = server.head().await;
        assert!(server.buffered().is_empty());
        if accepts {
            server.send(switching_protocols(&head, "")).await;
            assert_eq!(client.status(stream).await, 200);
            server.expect("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").await;
        } else {
            server.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno").await;
            assert_eq!(client.status(stream).await, 404);
            client.expect_of(stream, "no").await;
            server.expect_end().await;
        }
    }
    proxy.upstream.expect_untouched().await;
}

async fn j6_host_is_taken_from_the_authority(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = Client::connect(proxy.address).await;
    for hosts in [&["b.example"][..], &["b.example", "c.example"], &["user@b.example/"], &["a.example"], &[]]
    {
        let mut request = Request::connect("http://a.example/")
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        for host in hosts {
            request = request.header("host", *host);
        }
        let pending = client.send_request(request.body(()).unwrap(), false);
        let mut server = proxy.upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.values("host"), ["a.example"], "{hosts:?}");
        server.send(switching_protocols(&head, "")).await;
        assert_eq!(pending.response().await.0.status(), 200);
    }
}

on_both![
    j1_101_becomes_200_without_hop_by_hop_fields,
    j1_mismatched_101_is_502,
    j2_2xx_is_502_and_opens_no_tunnel,
    j3_refusal_is_relayed_with_its_body,
    j4_other_protocols_are_not_upgraded,
    j4_malformed_connect_resets_only_its_stream,
    j4_malformed_header_block_or_length_closes_only_its_connection,
    j4_invalid_authority_is_400,
    j5_data_before_the_200_waits_for_the_101,
    j6_host_is_taken_from_the_authority,
];
