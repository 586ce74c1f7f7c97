//! Order of the limits. A refusal by one of them does not change the others.

use super::*;

fn request(peer: &str, upstream: &ScriptedUpstream) -> String {
    handshake_with("/", &[&format!("X-Peer: {peer}"), &format!("X-Upstream: {}", upstream.uri())])
}

#[tokio::test]
async fn the_order_is_handshakes_tunnels_client_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let handshake = request("192.0.2.1", &upstream);
    let upstream_full = UpgradeProxyLayer::per_request().max_tunnels_per_upstream(1);
    let client_full = upstream_full.clone().max_tunnels_per_client(1);
    let all_full = client_full.clone().max_tunnels(1);
    let handshakes_full = all_full.clone().max_handshakes(1);
    let table = [
        (handshakes_full, 503, "handshake_limit"),
        (all_full, 503, "tunnel_limit"),
        (client_full, 429, "client_limit"),
        (upstream_full, 503, "upstream_limit"),
    ];
    for (layer, status, reason) in table {
        // The handshake in flight holds the only permit of each limit.
        let address = limited(layer).await;
        let (client, mut server) = start(address, &upstream, &handshake).await;
        expect_refusal(address, &handshake, status, reason).await;
        drop(client);
        server.rest().await;
        until_admitted(address, &upstream, &handshake).await;
        until_admitted(address, &upstream, &handshake).await;
    }
}

#[tokio::test]
async fn a_malformed_handshake_gets_a_400_even_above_the_limit() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(0)).await;
    let head = Wire::connect(address).await.request(handshake("/").replace("Host", "X-Host")).await;
    assert_eq!(head.status(), 400);
    expect_refusal(address, &handshake("/"), 503, "tunnel_limit").await;
}

#[tokio::test]
async fn a_refused_handshake_holds_no_permit() {
    let (one, two) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let layer = UpgradeProxyLayer::per_request()
        .max_handshakes(1)
        .max_tunnels(3)
        .max_tunnels_per_client(2)
        .max_tunnels_per_upstream(1);
    let address = limited(layer).await;
    let _first = open(address, &one, &request("192.0.2.1", &one)).await;
    for _ in 0..5 {
        expect_refusal(address, &request("192.0.2.1", &one), 503, "upstream_limit").await;
        expect_refusal(address, &request("192.0.2.2", &one), 503, "upstream_limit").await;
        // Without an upstream.
        let head = Wire::connect(address).await.request(from("192.0.2.2")).await;
        assert_eq!((head.status(), head.values("x-reason").concat()), (503, "no_upstream".to_owned()));
    }
    let second = open(address, &two, &request("192.0.2.1", &two)).await;
    for _ in 0..5 {
        expect_refusal(address, &request("192.0.2.1", &two), 429, "client_limit").await;
    }
    drop(second);
    let _third = until_admitted(address, &two, &request("192.0.2.2", &two)).await;
    let three = ScriptedUpstream::start().await;
    let _fourth = open(address, &three, &request("192.0.2.2", &three)).await;
    expect_refusal(address, &request("192.0.2.3", &three), 503, "tunnel_limit").await;
}
