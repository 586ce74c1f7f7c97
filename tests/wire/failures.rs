//! Upstreams that send invalid responses, fail or stay silent. In each case the client gets a status, its
//! connection serves the next request, and the upstream's connection is closed.

use std::time::Duration;

use axum::{Router, middleware::map_response, response::Response};
use http::StatusCode;
use test_support::{ReservedPort, ScriptedUpstream, Wire, handshake, proxy::describe, serve};
use tower_upgrade_proxy::{Error, UpgradeProxyLayer};

use crate::{app, app_for, open};

async fn expect_failure(client: &mut Wire, status: u16, case: &str) {
    let head = client.head().await;
    assert_eq!(head.status(), status, "{case}");
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(head.values(name).is_empty(), "{case}: {name}");
    }
    client.body(&head).await;
    let next = client.request("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(next.status(), 200, "{case}");
    assert!(client.body(&next).await.starts_with(b"GET /next "), "{case}");
}

#[tokio::test]
async fn an_upstream_that_violates_http_is_a_502_at_once() {
    let upstream = ScriptedUpstream::start().await;
    let address = app_for(&upstream).await;
    let endless = format!("HTTP/1.1 101 Switching Protocols\r\nX-Endless: {}", "x".repeat(2 << 20));
    let cases = [
        ("closes", ""),
        ("garbage", "\x16\x03\x01\x00\x00 what is this?\r\n\r\n"),
        ("half a head", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"),
        ("an endless head", &endless),
    ];
    for (case, response) in cases {
        let mut client = Wire::connect(address).await;
        client.send(handshake("/")).await;
        let mut server = upstream.accept().await;
        server.head().await;
        // The proxy may close the connection before it has read everything.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut server.stream, response.as_bytes()).await;
        drop(server);
        expect_failure(&mut client, 502, case).await;
    }
    let mut client = Wire::connect(address).await;
    client.send(handshake("/")).await;
    upstream.accept().await.reset();
    expect_failure(&mut client, 502, "reset").await;
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_502() {
    let unused = ReservedPort::new();
    for upstream in [unused.uri().as_str(), "http://does-not-exist.invalid:80", "unix:/does/not/exist.sock"] {
        let mut client = Wire::connect(app(UpgradeProxyLayer::new(upstream.parse().unwrap())).await).await;
        client.send(handshake("/")).await;
        expect_failure(&mut client, 502, upstream).await;
    }
}

#[tokio::test]
async fn a_silent_upstream_is_a_504_at_the_handshake_timeout() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).handshake_timeout(Duration::from_millis(100));
    let address = app(layer).await;
    for case in ["silent", "dripping"] {
        let mut client = Wire::connect(address).await;
        client.send(handshake("/")).await;
        let mut server = upstream.accept().await;
        server.head().await;
        if case == "dripping" {
            server.send("HTTP/1.1 101 Switch").await;
        }
        expect_failure(&mut client, 504, case).await;
        server.expect_end().await;
    }
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_is_a_504_at_the_connect_timeout() {
    let never = tower::service_fn(|_: http::Uri| {
        std::future::pending::<Result<hyper_util::rt::TokioIo<tokio::net::TcpStream>, std::io::Error>>()
    });
    let layer = UpgradeProxyLayer::new("http://192.0.2.1".parse().unwrap())
        .connector(never)
        .connect_timeout(Duration::from_millis(50));
    let mut client = Wire::connect(app(layer).await).await;
    client.send(handshake("/")).await;
    expect_failure(&mut client, 504, "connect").await;
}

#[tokio::test]
async fn a_request_without_an_upstream_is_a_503_with_retry_after() {
    let mut client = Wire::connect(app(UpgradeProxyLayer::per_request()).await).await;
    let head = client.request(handshake("/")).await;
    assert_eq!((head.status(), head.values("retry-after")), (503, vec!["5".to_owned()]));
}

#[tokio::test]
async fn the_error_is_in_the_extensions_and_the_address_is_not_in_the_body() {
    const GONE: &str = "http://does-not-exist.invalid:81";
    let check = map_response(|mut response: Response| async move {
        let error = response.extensions().get::<Error>().expect("the error").clone();
        assert!(error.is_connect() && !error.is_timeout());
        assert_eq!(error.upstream().map(ToString::to_string).as_deref(), Some(GONE));
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
        response.headers_mut().insert("x-seen", "1".parse().unwrap());
        response
    });
    let layer = UpgradeProxyLayer::new(GONE.parse().unwrap());
    let address = serve(Router::new().fallback(describe).layer(layer).layer(check)).await;
    let mut client = Wire::connect(address).await;
    let head = client.request(handshake("/")).await;
    assert_eq!((head.status(), head.values("x-seen")), (502, vec!["1".to_owned()]));
    let body = String::from_utf8(client.body(&head).await).unwrap();
    assert_eq!(body, "502 Bad Gateway: the upstream cannot be reached\n");
}

#[tokio::test]
async fn error_response_replaces_only_the_proxys_own_responses() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).error_response(|error| {
        let mut response = http::Response::new(format!("custom {}", error.status().as_u16()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response.headers_mut().insert("x-custom", "1".parse().unwrap());
        response
    });
    let address = app(layer).await;
    for (request, body) in
        [(handshake("/").replace("Host", "X-Host"), "custom 400"), (handshake("/"), "custom 502")]
    {
        let mut client = Wire::connect(address).await;
        client.send(&request).await;
        if body.ends_with("502") {
            drop(upstream.accept().await);
        }
        let head = client.head().await;
        assert_eq!((head.status(), head.values("x-custom")), (418, vec!["1".to_owned()]));
        assert_eq!(client.body(&head).await, body.as_bytes());
    }
    let mut client = Wire::connect(address).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\nbusy").await;
    let head = client.head().await;
    assert_eq!((head.status(), head.values("x-custom")), (502, vec![]));
}

#[tokio::test]
async fn a_failed_handshake_does_not_affect_open_tunnels() {
    let upstream = ScriptedUpstream::start().await;
    let address = app_for(&upstream).await;
    let (mut open_client, mut server) = open(address, &upstream).await;
    for _ in 0..20 {
        let mut client = Wire::connect(address).await;
        client.send(handshake("/")).await;
        drop(upstream.accept().await);
        expect_failure(&mut client, 502, "closed").await;
        open_client.send("ping").await;
        server.expect("ping").await;
    }
}
