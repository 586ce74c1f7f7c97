//! Upstreams marked for HTTP/2 that support extended CONNECT in part.

use axum::{Router, extract::WebSocketUpgrade, routing::get};
use test_support::{ACCEPT, Wire, handshake, serve};
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

use crate::app;

#[tokio::test]
async fn an_application_that_handles_only_get_gets_the_upgrade_in_http_1_1() {
    let handler = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        })
    };
    // `axum::serve` allows extended CONNECT; the route responds to it with 405.
    let address = serve(Router::new().route("/ws", get(handler))).await;
    let upstream: Upstream = format!("http://{address}").parse().unwrap();
    let mut client = Wire::connect(app(UpgradeProxyLayer::new(upstream.http2())).await).await;
    let head = client.request(handshake("/ws")).await;
    assert!(head.status() == 101 && head.has("sec-websocket-accept", ACCEPT), "{}", head.text());
    client.send(b"\x81\x82\x01\x02\x03\x04ik").await;
    client.expect(b"\x81\x02hi").await;
}
