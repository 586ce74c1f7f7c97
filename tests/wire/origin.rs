//! Policies for the origins of web pages.

use axum::Router;
use test_support::{SWITCHING, ScriptedUpstream, Wire, handshake, handshake_with, http2::Client, serve};
use tower_upgrade_proxy::{AllowOrigin, UpgradeProxyLayer, proxy_pass};

use crate::{app, http2};

fn layer(upstream: &ScriptedUpstream) -> UpgradeProxyLayer {
    let listed = AllowOrigin::list(["https://app.example"]).unwrap();
    UpgradeProxyLayer::new(upstream.upstream()).allow_origin(AllowOrigin::same_host().or(listed))
}

#[tokio::test]
async fn other_origins_get_403_without_an_upstream_connection_and_stay_connected() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app(layer(&upstream)).await).await;
    for lines in [
        &["Origin: https://evil.example"][..],
        &["Origin: null"],
        &["Origin: chrome-extension://client.example"],
        &["Origin: file://"],
        &["Origin: ws://client.example"],
        &["Origin: https://app.example.evil.example"],
        &["Origin: https://app.example", "Origin: https://evil.example"],
        &["Origin: \u{e9}"],
    ] {
        let head = client.request(handshake_with("/", lines)).await;
        assert_eq!(head.status(), 403, "{lines:?}");
        assert_eq!(client.body(&head).await, b"403 Forbidden: the origin is not allowed\n");
    }
    upstream.expect_untouched().await;
    assert_eq!(
        client.request("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n\r\n").await.status(),
        200
    );
}

#[tokio::test]
async fn allowed_origins_and_requests_without_origin_get_a_tunnel() {
    let upstream = ScriptedUpstream::start().await;
    let address = app(layer(&upstream)).await;
    for lines in
        [&["Origin: HTTPS://app.example"][..], &["Origin: http://client.example"], &["X-No-Origin: at all"]]
    {
        let mut client = Wire::connect(address).await;
        client.send(handshake_with("/", lines)).await;
        let mut server = upstream.accept().await;
        assert!(server.head().await.text().to_lowercase().contains(&lines[0].to_lowercase()), "{lines:?}");
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101, "{lines:?}");
    }
}

#[tokio::test]
async fn same_host_uses_the_authority_in_http2() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(layer(&upstream)).await).await;
    let origins = [
        "https://evil.example",
        "https://client.example",
        "http://a.example:443",
        "moz-extension://a.example",
    ];
    for origin in origins {
        let request = http2::extended("websocket").header("origin", origin);
        assert_eq!(http2::send(&mut client, request).await.status(), 403, "{origin}");
    }
    upstream.expect_untouched().await;
    let request = http2::extended("websocket").header("origin", "https://a.example");
    let pending = tokio::spawn(async move { http2::send(&mut client, request).await });
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.values("origin"), ["https://a.example"]);
    drop(server);
    assert_eq!(pending.await.unwrap().status(), 502);
}

#[tokio::test]
async fn ordinary_requests_are_not_checked_nor_are_upgrades_by_default() {
    let upstream = ScriptedUpstream::start().await;
    let strict = serve(Router::new().fallback_service(layer(&upstream).forward())).await;
    let open = serve(Router::new().fallback_service(proxy_pass(upstream.upstream()))).await;
    let evil = "Origin: https://evil.example";
    let ordinary = format!("GET / HTTP/1.1\r\nHost: a\r\n{evil}\r\n\r\n");
    for (address, request) in [(strict, ordinary), (open, handshake_with("/", &[evil, evil]))] {
        let mut client = Wire::connect(address).await;
        upstream.receive(&mut client, request).await;
    }
    assert_eq!(Wire::connect(strict).await.request(handshake_with("/", &[evil])).await.status(), 403);
    let mut client = Wire::connect(strict).await;
    upstream.receive(&mut client, handshake("/")).await;
}
