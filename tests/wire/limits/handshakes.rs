//! `max_handshakes`.

use std::time::Duration;

use super::*;
use test_support::{http2::Client, ping_pong};

use crate::http2;

fn layer(upstream: &ScriptedUpstream) -> UpgradeProxyLayer {
    UpgradeProxyLayer::new(upstream.upstream()).max_handshakes(1)
}

#[tokio::test]
async fn a_handshake_above_the_limit_gets_a_503_and_tunnels_do_not_count() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream)).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let (mut client, mut server) = start(address, &upstream, &handshake("/")).await;
        expect_refusal(address, &handshake("/"), 503, "handshake_limit").await;
        upstream.expect_untouched().await;
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
        held.push((client, server));
    }
    for (client, server) in &mut held {
        ping_pong(client, server).await;
    }
}

#[tokio::test]
async fn any_response_of_the_upstream_ends_the_handshake() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream)).await;
    // The body of the second response is not sent.
    let responses = [
        ("", 502),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n", 403),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", 502),
        ("HTTP/1.1 garbage\r\n\r\n", 502),
    ];
    let mut held = Vec::new();
    for (response, status) in responses {
        let (mut client, mut server) = start(address, &upstream, &handshake("/")).await;
        match response {
            "" => drop(server),
            _ => {
                server.send(response).await;
                held.push(server);
            }
        }
        assert_eq!(client.head().await.status(), status, "{response}");
        held.push(client);
    }
    open(address, &upstream, &handshake("/")).await;
}

#[tokio::test]
async fn a_timeout_ends_the_handshake() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream).handshake_timeout(Duration::from_secs(1))).await;
    let (mut client, _server) = start(address, &upstream, &handshake("/")).await;
    assert_eq!(client.head().await.status(), 504);
    open(address, &upstream, &handshake("/")).await;
}

#[tokio::test]
async fn a_disconnect_of_the_client_ends_the_handshake() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream)).await;
    let (client, mut server) = start(address, &upstream, &handshake("/")).await;
    drop(client);
    server.rest().await;
    let held = until_admitted(address, &upstream, &handshake("/")).await;

    let mut client = Client::connect(address).await;
    let pending = tokio::spawn(async move { http2::send(&mut client, http2::extended("websocket")).await });
    let mut server = upstream.accept().await;
    server.head().await;
    expect_refusal(address, &handshake("/"), 503, "handshake_limit").await;
    pending.abort();
    server.rest().await;
    until_admitted(address, &upstream, &handshake("/")).await;
    drop(held);
}

#[tokio::test]
async fn clones_of_a_layer_share_the_limit() {
    let upstream = ScriptedUpstream::start().await;
    let layer = layer(&upstream);
    let (one, two) = (limited(layer.clone()).await, limited(layer).await);
    let (_client, _server) = start(one, &upstream, &handshake("/")).await;
    expect_refusal(two, &handshake("/"), 503, "handshake_limit").await;
}
