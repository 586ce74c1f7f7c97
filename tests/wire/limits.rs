//! The number of tunnels, and what holds a place among them.

use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{
    app,
    support::{SWITCHING, Scripted, Wire, handshake},
};

/// Asks until a place is free: it becomes so a moment after the last tunnel's peers see its end.
async fn until_admitted(address: std::net::SocketAddr, upstream: &Scripted) -> (Wire, Wire) {
    crate::support::bounded("a place", async {
        loop {
            let mut client = Wire::connect(address).await;
            client.send(handshake("/")).await;
            tokio::select! {
                head = client.head() => assert_eq!(head.status(), 503),
                mut server = upstream.accept() => {
                    server.head().await;
                    server.send(SWITCHING).await;
                    assert_eq!(client.head().await.status(), 101);
                    return (client, server);
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn beyond_max_tunnels_it_is_a_503_until_one_has_ended() {
    let upstream = Scripted::start().await;
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(2)).await;
    let first = until_admitted(address, &upstream).await;
    let mut second = until_admitted(address, &upstream).await;

    let mut third = Wire::connect(address).await;
    let head = third.ask(handshake("/")).await;
    assert_eq!((head.status(), head.values("retry-after")), (503, vec!["5".to_owned()]));
    third.body(&head).await;
    upstream.expect_untouched().await;
    let ordinary = third.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(ordinary.status(), 200, "ordinary requests are not counted");

    drop(first);
    until_admitted(address, &upstream).await;
    second.0.send("still there").await;
    second.1.expect("still there").await;
}

#[tokio::test]
async fn a_handshake_in_flight_holds_a_place_and_gives_it_back_when_it_fails() {
    let upstream = Scripted::start().await;
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(1)).await;
    let mut pending = Wire::connect(address).await;
    pending.send(handshake("/")).await;
    let server = upstream.accept().await;
    assert_eq!(Wire::connect(address).await.ask(handshake("/")).await.status(), 503);
    drop(server);
    assert_eq!(pending.head().await.status(), 502);
    until_admitted(address, &upstream).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_101_gives_its_place_back() {
    let upstream = Scripted::start().await;
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(1)).await;
    let mut pending = Wire::connect(address).await;
    pending.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    drop(pending);
    server.rest().await;
    until_admitted(address, &upstream).await;
}

#[tokio::test]
async fn clones_of_a_layer_count_together_and_every_route_it_wraps_too() {
    let upstream = Scripted::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).max_tunnels(1);
    let (one, two) = (app(layer.clone()).await, app(layer).await);
    let held = until_admitted(one, &upstream).await;
    assert_eq!(Wire::connect(two).await.ask(handshake("/")).await.status(), 503);
    drop(held);
    until_admitted(two, &upstream).await;
}
