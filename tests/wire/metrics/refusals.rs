//! Failure responses of the proxy itself.

use std::{convert::Infallible, future::pending, time::Duration};

use hyper_util::rt::TokioIo;
use tower::service_fn;
use tower_upgrade_proxy::{Drain, UpgradeProxyLayer};

use super::Metrics;
use test_support::{ScriptedUpstream, Wire, handshake, proxy::describe, serve::serve_with_peers};

const SOON: Duration = Duration::from_millis(20);

/// Sends `request` to an application behind `layer`, or to the layer's own forwarding. Returns the status.
async fn status(layer: UpgradeProxyLayer, request: &str, forward: bool) -> u16 {
    let app = match forward {
        true => axum::Router::new().fallback_service(layer.forward()),
        false => axum::Router::new().fallback(describe).layer(layer),
    };
    // Clients without a known address are not limited.
    let address = serve_with_peers(app).await;
    Wire::connect(address).await.request(request).await.status()
}

#[tokio::test]
async fn each_refusal_is_counted_by_its_reason() {
    let metrics = Metrics::install();
    let upstream = ScriptedUpstream::start().await;
    let layer = || UpgradeProxyLayer::new(upstream.upstream());
    let upgrade = handshake("/");
    let unreachable = UpgradeProxyLayer::new("http://127.0.0.1:1".parse().unwrap());
    let never = service_fn(|_: http::Uri| async {
        Ok::<_, Infallible>(pending::<TokioIo<tokio::net::TcpStream>>().await)
    });
    let exhausted = service_fn(|_: http::Uri| async {
        Err::<TokioIo<tokio::net::TcpStream>, _>(std::io::Error::from_raw_os_error(24))
    });
    let resetting = ScriptedUpstream::start().await;
    let reset = UpgradeProxyLayer::new(resetting.upstream());
    tokio::spawn(async move { while let Ok(()) = resetting.accept().await.stream.set_zero_linger() {} });
    let drain = Drain::new();
    let drained = layer().drain(drain.watcher());
    drop(drain.shutdown(Duration::ZERO));

    let ordinary = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let paused = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nhal";
    let cases = [
        ("bad_handshake", 400, layer(), upgrade.replace("Key: d", "Key: "), false),
        ("bad_request", 400, layer(), ordinary.replace("Host: a\r\n", ""), true),
        ("method_not_allowed", 405, layer(), "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), true),
        ("connect", 502, unreachable, upgrade.clone(), false),
        ("connect_timeout", 504, layer().connector(never).connect_timeout(SOON), upgrade.clone(), false),
        ("upstream_protocol", 502, reset, upgrade.clone(), false),
        ("handshake_timeout", 504, layer().handshake_timeout(SOON), upgrade.clone(), false),
        ("header_timeout", 504, layer().header_timeout(SOON), ordinary.to_owned(), true),
        ("request_timeout", 408, layer().header_timeout(SOON), paused.to_owned(), true),
        ("no_upstream", 503, UpgradeProxyLayer::per_request(), upgrade.clone(), false),
        ("tunnel_limit", 503, layer().max_tunnels(0), upgrade.clone(), false),
        ("client_limit", 429, layer().max_tunnels_per_client(0), upgrade.clone(), false),
        ("upstream_limit", 503, layer().max_tunnels_per_upstream(0), upgrade.clone(), false),
        ("handshake_limit", 503, layer().max_handshakes(0), upgrade.clone(), false),
        ("request_limit", 503, layer().max_requests(0), ordinary.to_owned(), true),
        ("descriptor_limit", 503, layer().connector(exhausted), upgrade.clone(), false),
        ("draining", 503, drained, upgrade.clone(), false),
    ];
    for (index, (reason, expected, layer, request, forward)) in cases.into_iter().enumerate() {
        assert_eq!(status(layer, &request, forward).await, expected, "{reason}");
        assert_eq!(metrics.value(&format!("refused_total{{reason=\"{reason}\"}}")), 1.0, "{reason}");
        assert_eq!(metrics.samples("refused_total").len(), index + 1, "{reason}");
    }
    assert_eq!(metrics.value("tunnels_opened_total"), 0.0);
}

#[tokio::test]
async fn a_repeated_request_is_counted_and_is_no_refusal() {
    let metrics = Metrics::install();
    let upstream = ScriptedUpstream::start().await;
    let location = UpgradeProxyLayer::new(upstream.upstream()).forward();
    let address = serve_with_peers(axum::Router::new().fallback_service(location)).await;
    let mut client = Wire::connect(address).await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut server = upstream.receive(&mut client, get).await;
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    client.head().await;
    client.send(get).await;
    server.head().await;
    drop(server);
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 204);
    assert_eq!(metrics.value("repeated_total"), 1.0);
    assert!(metrics.samples("refused_total").is_empty());
}
