//! Requests as received by the upstream.

use axum::{Router, routing::any};
use http::HeaderValue;
use test_support::{Head, KEY, ScriptedUpstream, Wire, handshake, handshake_with, serve};
use tower_upgrade_proxy::{Host, PathRewrite, UpgradeProxyLayer, Upstream};

use crate::app;

/// Sends `request` to an application with `layer`. Returns its head as received by the upstream.
async fn forwarded(upstream: &ScriptedUpstream, layer: UpgradeProxyLayer, request: impl AsRef<[u8]>) -> Head {
    let mut client = Wire::connect(app(layer).await).await;
    client.send(request).await;
    upstream.accept().await.head().await
}

#[tokio::test]
async fn browser_handshake_arrives_with_all_its_fields() {
    let upstream = ScriptedUpstream::start().await;
    let request = format!(
        "GET /chat?room=a%2Fb&x= HTTP/1.1\r\n\
         Host: client.example:8080\r\n\
         Connection: keep-alive, Upgrade\r\n\
         Pragma: no-cache\r\n\
         Cache-Control: no-cache\r\n\
         User-Agent: Mozilla/5.0\r\n\
         Upgrade: websocket\r\n\
         Origin: http://client.example:8080\r\n\
         Sec-WebSocket-Version: 13\r\n\
         Accept-Encoding: gzip, deflate, br\r\n\
         Cookie: session=abc\r\n\
         Authorization: Bearer t0ken\r\n\
         Sec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Protocol: chat, superchat\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    );
    let head = forwarded(&upstream, UpgradeProxyLayer::new(upstream.upstream()), request).await;
    let expected = format!(
        "GET /chat?room=a%2Fb&x= HTTP/1.1\r\n\
         host: client.example:8080\r\n\
         pragma: no-cache\r\n\
         cache-control: no-cache\r\n\
         user-agent: Mozilla/5.0\r\n\
         origin: http://client.example:8080\r\n\
         sec-websocket-version: 13\r\n\
         accept-encoding: gzip, deflate, br\r\n\
         cookie: session=abc\r\n\
         authorization: Bearer t0ken\r\n\
         sec-websocket-key: {KEY}\r\n\
         sec-websocket-protocol: chat, superchat\r\n\
         sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\
         connection: Upgrade\r\n\
         upgrade: websocket\r\n\r\n"
    );
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[1..].sort();
        lines
    };
    assert_eq!(sorted(&head.text()), sorted(&expected));
}

#[tokio::test]
async fn hop_by_hop_fields_are_removed() {
    let upstream = ScriptedUpstream::start().await;
    let request = handshake_with(
        "/",
        &[
            "Connection: X-Secret, keep-alive",
            "Connection:",
            "X-Secret: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
            "Trailer: x-sum",
            "Proxy-Authorization: Basic x",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
            "Connection: Host, Sec-WebSocket-Key, X-Real-IP",
            "X-Real-IP: 6.6.6.6",
            "X-Kept: 1",
            "Content-Length: 0",
        ],
    );
    let head = forwarded(&upstream, UpgradeProxyLayer::new(upstream.upstream()), request).await;
    let names: Vec<String> = head.fields().into_iter().map(|(name, _)| name).collect();
    let mut sorted = names.clone();
    sorted.sort();
    let expected = ["connection", "host", "sec-websocket-key", "sec-websocket-version", "upgrade", "x-kept"];
    assert_eq!(sorted, expected);
    assert_eq!(head.values("connection"), ["Upgrade"]);
}

#[tokio::test]
async fn each_host_policy_sends_its_host() {
    let upstream = ScriptedUpstream::start().await;
    let layer = || UpgradeProxyLayer::new(upstream.upstream());
    let cases = [
        (layer(), "client.example".to_owned()),
        (layer().host(Host::preserve()), "client.example".to_owned()),
        (layer().host(Host::upstream()), upstream.address.to_string()),
        (layer().host(Host::fixed("fixed.example").unwrap()), "fixed.example".to_owned()),
    ];
    for (layer, host) in cases {
        let head = forwarded(&upstream, layer, handshake("/")).await;
        assert_eq!(head.values("host"), [host]);
    }
}

#[tokio::test]
async fn paths_are_appended_to_the_base_path_and_cannot_escape_it() {
    let upstream = ScriptedUpstream::start().await;
    let based: Upstream = format!("{}/base/", upstream.uri()).parse().unwrap();
    let strip = UpgradeProxyLayer::new(based.clone()).path(PathRewrite::strip_prefix("/ws"));
    let head = forwarded(&upstream, strip, handshake("/ws/chat?x=%2F")).await;
    assert_eq!(head.first_line(), "GET /base/chat?x=%2F HTTP/1.1");

    let replace =
        UpgradeProxyLayer::new(upstream.upstream()).path(PathRewrite::replace_prefix("/ws", "/api/v1"));
    let head = forwarded(&upstream, replace, handshake("/ws/chat")).await;
    assert_eq!(head.first_line(), "GET /api/v1/chat HTTP/1.1");

    let address = app(UpgradeProxyLayer::new(based)).await;
    let head = Wire::connect(address).await.request(handshake("/x/..%2f../admin")).await;
    assert_eq!(head.status(), 400);
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn nested_path_is_forwarded_stripped_or_original() {
    let upstream = ScriptedUpstream::start().await;
    let layer = || UpgradeProxyLayer::new(upstream.upstream());
    let nested =
        |layer| Router::new().route("/{*rest}", any(|| async { "inner" })).layer::<UpgradeProxyLayer>(layer);
    let app = Router::new()
        .nest("/stripped", nested(layer()))
        .nest("/original", nested(layer().path(PathRewrite::original_uri())));
    let address = serve(app).await;
    for (target, forwarded) in [("/stripped/a/b?q=1", "/a/b?q=1"), ("/original/a/b?q=1", "/original/a/b?q=1")]
    {
        let mut client = Wire::connect(address).await;
        client.send(handshake(target)).await;
        let head = upstream.accept().await.head().await;
        assert_eq!(head.first_line(), format!("GET {forwarded} HTTP/1.1"));
    }
    let head = Wire::connect(address).await.request(handshake("/original/a/../../other")).await;
    assert_eq!(head.status(), 400, "the path cannot escape its prefix");
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn hook_runs_last_and_cannot_be_overridden_by_the_client() {
    let upstream = ScriptedUpstream::start().await;
    let layer =
        UpgradeProxyLayer::new(upstream.upstream()).host(Host::upstream()).on_request(|inbound, outbound| {
            assert_eq!(inbound.headers["connection"], "Upgrade, X-Real-IP");
            assert_eq!(inbound.headers["host"], "client.example");
            assert_eq!(outbound.headers["connection"], "Upgrade");
            assert!(!outbound.headers.contains_key("x-real-ip"), "hop-by-hop fields are removed first");
            assert_ne!(outbound.headers["host"], "client.example");
            outbound.headers.insert("x-real-ip", HeaderValue::from_static("10.0.0.1"));
            outbound.headers.remove("cookie");
            outbound.uri = "http://elsewhere.example/changed?by=hook".parse().unwrap();
        });
    let request = handshake_with("/", &["X-Real-IP: 6.6.6.6", "Cookie: secret"])
        .replace("Connection: Upgrade", "Connection: Upgrade, X-Real-IP");
    let head = forwarded(&upstream, layer, request).await;
    assert_eq!(head.first_line(), "GET /changed?by=hook HTTP/1.1");
    assert_eq!(head.values("x-real-ip"), ["10.0.0.1"]);
    assert!(head.values("cookie").is_empty());
}
