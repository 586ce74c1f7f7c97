//! Events of refused requests: what identifies the request, as the client sent it.

use axum::Router;
use test_support::{ReservedPort, ScriptedUpstream, Wire, handshake, http2::Client, serve::serve_with_peers};
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

use crate::{events::Log, http2};

/// Serves a location below `/app` that forwards to `upstream`.
async fn location(upstream: Upstream) -> std::net::SocketAddr {
    let layer = UpgradeProxyLayer::new(upstream);
    serve_with_peers(Router::new().nest_service("/app", layer.forward())).await
}

/// A handshake without its key.
fn without_key(path: &str) -> String {
    let request = handshake(path);
    let lines =
        request.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("sec-websocket-key"));
    lines.collect::<Vec<_>>().join("\r\n")
}

#[tokio::test]
async fn a_refusal_names_the_request_as_the_client_sent_it() {
    let port = ReservedPort::new();
    let upstream: Upstream = format!("http://{}/base", port.address).parse().unwrap();
    let at = format!("client=127.0.0.1 upstream=http://{}", port.address);
    let address = location(upstream).await;
    let cases = [
        (handshake("/app/a?token=secret"), 502, "WARN", "method=\"GET\" path=\"/app/a\"", &*at),
        (
            "POST /app/b?token=secret HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".to_owned(),
            502,
            "WARN",
            "method=\"POST\" path=\"/app/b\"",
            &at,
        ),
        (
            without_key("/app/c"),
            400,
            "DEBUG",
            "method=\"GET\" path=\"/app/c\"",
            "client=127.0.0.1 status=400",
        ),
        (
            "GET /app/d/../../../e HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            400,
            "DEBUG",
            "path=\"/app/d/../../../e\"",
            "client=127.0.0.1",
        ),
    ];
    for (request, status, level, request_fields, other_fields) in cases {
        let log = Log::default();
        let _guard = log.capture();
        let head = Wire::connect(address).await.request(&request).await;
        assert_eq!(head.status(), status, "{}", head.text());
        let line = log.line("request refused");
        let status = format!("status={status} reason=\"");
        for part in [level, request_fields, "version=HTTP/1.1", other_fields, &status] {
            assert!(line.contains(part), "{part}: {line}");
        }
        assert!(!line.contains("secret"), "{line}");
        assert_eq!(line.contains("upstream_path=\"/base/"), level == "WARN", "{line}");
    }
}

#[tokio::test]
async fn a_refusal_in_http_2_names_the_same_fields() {
    let log = Log::default();
    let _guard = log.capture();
    let port = ReservedPort::new();
    let mut client =
        Client::connect(location(format!("http://{}", port.address).parse().unwrap()).await).await;
    let request = http2::extended("websocket").uri("http://a/app/x?token=secret");
    assert_eq!(http2::send(&mut client, request).await.status(), 502);
    let line = log.line("request refused");
    for part in
        ["method=\"CONNECT\" path=\"/app/x\" version=HTTP/2.0 client=127.0.0.1", "upstream_path=\"/x\""]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[tokio::test]
async fn fields_of_a_refusal_are_of_bounded_length() {
    let log = Log::default();
    let _guard = log.capture();
    let upstream = ScriptedUpstream::start().await;
    let address = location(upstream.upstream()).await;
    let long = "x".repeat(5000);
    let path = format!("/app/{long}");
    let head = Wire::connect(address).await.request(without_key(&path)).await;
    assert_eq!(head.status(), 400);
    let line = log.line("request refused");
    assert!(line.len() < 1500 && line.contains("x…\""), "{line}");
}
