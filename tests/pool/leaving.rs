//! Endpoints that are removed or disabled.

use std::time::Duration;

use test_support::{
    EchoUpstream, SWITCHING, ScriptedUpstream, Wire, bounded, handshake,
    websocket::{ABNORMAL, Client, going_away},
};
use tower_upgrade_proxy::{DrainConfig, Endpoint, EndpointState, EndpointStatus, Pool, UpgradeProxyLayer};

use crate::{GET, endpoint, serve_both, until_loads_are};

const LONG: Duration = Duration::from_secs(60);

fn soon() -> DrainConfig {
    DrainConfig::new().jitter(Duration::from_millis(100)).grace(LONG)
}

#[tokio::test]
async fn the_tunnels_of_a_removed_endpoint_end_and_those_of_the_others_stay() {
    let mut upstreams = [EchoUpstream::start().await, EchoUpstream::start().await];
    let endpoints = [0, 1].map(|index: usize| endpoint(upstreams[index].upstream()));
    let pool = Pool::new(endpoints.clone()).on_removed(soon());
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::http1(proxy, "/").await);
        clients.push(Client::http2(proxy, "/").await);
    }
    until_loads_are(&pool, &[3, 3]).await;
    pool.set([endpoints[1].clone()]);
    for _ in 0..3 {
        assert_eq!(upstreams[0].closed().await, going_away());
    }
    let mut ended = 0;
    for mut client in clients {
        // Those of the removed one have ended without a Close, the others still echo.
        client.send("hello").await;
        match bounded("a message or the end", client.next()).await {
            Some(message) => assert_eq!(message.into_text().unwrap().as_str(), "hello"),
            None => ended += 1,
        }
    }
    assert_eq!(ended, 3);
    assert_eq!(upstreams[1].echoes(), 3);
    let mut late = Client::http1(proxy, "/").await;
    late.echo("to the endpoint that is left").await;
}

#[tokio::test]
async fn a_disabled_endpoint_gets_nothing_until_it_is_enabled() {
    let upstreams = [EchoUpstream::start().await, EchoUpstream::start().await];
    let pool = Pool::new(upstreams.iter().map(|upstream| endpoint(upstream.upstream())));
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let id = pool.endpoints()[0].id().to_owned();
    let mut clients = [Client::http1(proxy, "/").await, Client::http1(proxy, "/").await];
    until_loads_are(&pool, &[1, 1]).await;

    let drained = pool.disable(&id, soon());
    let states: Vec<_> = pool.endpoints().iter().map(EndpointStatus::state).collect();
    assert_eq!(states, [EndpointState::Disabled, EndpointState::Ready]);
    let closes = async {
        let [one, other] = &mut clients;
        tokio::select! { close = one.closed() => close, close = other.closed() => close }
    };
    assert_eq!(closes.await, (ABNORMAL, String::new()));
    drop(clients);
    let drained = bounded("the drain", drained).await.unwrap();
    assert_eq!((drained.total(), drained.is_clean()), (1, true));
    assert!(pool.disable("http://unknown", soon()).await.is_none());
    until_loads_are(&pool, &[0, 0]).await;

    let _held = [Client::http1(proxy, "/").await, Client::http1(proxy, "/").await];
    until_loads_are(&pool, &[0, 2]).await;
    assert!(pool.enable(&id));
    let _held = [Client::http1(proxy, "/").await, Client::http1(proxy, "/").await];
    until_loads_are(&pool, &[2, 2]).await;
}

#[tokio::test]
async fn a_tunnel_whose_handshake_was_in_flight_is_drained_too() {
    let upstream = ScriptedUpstream::start().await;
    let pool = Pool::new([endpoint(upstream.upstream())]).on_removed(soon());
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut client = Wire::connect(proxy).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    pool.set([]);
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.expect_end().await;
}

#[tokio::test]
async fn requests_of_a_removed_endpoint_complete() {
    let upstream = ScriptedUpstream::start().await;
    let pool = Pool::new([endpoint(upstream.upstream())]);
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut client = Wire::connect(proxy).await;
    let mut server = upstream.receive(&mut client, GET).await;
    pool.set([]);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let head = client.head().await;
    assert_eq!((head.status(), client.body(&head).await), (200, b"ok".to_vec()));
}

#[tokio::test]
async fn unchanged_sets_touch_no_tunnel() {
    let upstream = EchoUpstream::start().await;
    let others =
        (0..99).map(|number| format!("http://192.0.2.1:{}", 1000 + number).parse::<Endpoint>().unwrap());
    let mut all: Vec<_> = others.collect();
    all.push(endpoint(upstream.upstream()));
    let pool = Pool::new(all[99..].iter().cloned());
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut client = Client::http1(proxy, "/").await;
    pool.set(all.clone());
    for _ in 0..1_000 {
        pool.set(all.clone());
    }
    client.echo("still open").await;
    let loads: Vec<_> = pool.endpoints().iter().map(EndpointStatus::load).collect();
    assert_eq!((loads.len(), loads[99]), (100, 1));
}
