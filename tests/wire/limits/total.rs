//! `max_tunnels`.

use super::*;

#[tokio::test]
async fn a_tunnel_above_the_limit_gets_a_503_until_one_has_ended() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(2)).await;
    let first = open(address, &upstream, &handshake("/")).await;
    let mut second = open(address, &upstream, &handshake("/")).await;
    expect_refusal(address, &handshake("/"), 503, "tunnel_limit").await;
    upstream.expect_untouched().await;

    drop(first);
    until_admitted(address, &upstream, &handshake("/")).await;
    second.0.send("still open").await;
    second.1.expect("still open").await;
}

#[tokio::test]
async fn a_handshake_in_flight_holds_a_permit_and_releases_it_when_it_fails() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(1)).await;
    let (mut pending, server) = start(address, &upstream, &handshake("/")).await;
    expect_refusal(address, &handshake("/"), 503, "tunnel_limit").await;
    drop(server);
    assert_eq!(pending.head().await.status(), 502);
    open(address, &upstream, &handshake("/")).await;
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_101_releases_its_permit() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(1)).await;
    let (pending, mut server) = start(address, &upstream, &handshake("/")).await;
    drop(pending);
    server.rest().await;
    until_admitted(address, &upstream, &handshake("/")).await;
}

#[tokio::test]
async fn clones_of_a_layer_share_the_limits() {
    type Limit = fn(UpgradeProxyLayer) -> UpgradeProxyLayer;
    let limits: [(Limit, u16, &str); 3] = [
        (|layer| layer.max_tunnels(1), 503, "tunnel_limit"),
        (|layer| layer.max_tunnels_per_client(1), 429, "client_limit"),
        (|layer| layer.max_tunnels_per_upstream(1), 503, "upstream_limit"),
    ];
    for (limit, status, reason) in limits {
        let upstream = ScriptedUpstream::start().await;
        let layer = limit(UpgradeProxyLayer::new(upstream.upstream()));
        let (one, two) = (limited(layer.clone()).await, limited(layer).await);
        let held = open(one, &upstream, &handshake("/")).await;
        expect_refusal(two, &handshake("/"), status, reason).await;
        drop(held);
        until_admitted(two, &upstream, &handshake("/")).await;
    }
}
