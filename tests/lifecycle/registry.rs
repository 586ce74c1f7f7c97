//! The list of open tunnels.

use std::{future::ready, sync::Arc, time::Duration};

use axum::{Router, extract::Request, middleware::map_request};
use test_support::{
    EchoUpstream, Inner, SWITCHING, ScriptedUpstream, Wire, bounded, handshake,
    proxy::Worker,
    serve,
    serve::serve_with_peers,
    websocket::{Client, frame::close_code},
};
use tokio::sync::Semaphore;
use tower_upgrade_proxy::{
    Side, TunnelConfig, TunnelResource, TunnelState, TunnelStatus, Tunnels, UpgradeProxyLayer,
};

use crate::{app, app_that_replaces_101s, open, until};

/// A layer for `upstream`, and the list of its tunnels.
fn listed(upstream: &ScriptedUpstream) -> (UpgradeProxyLayer, Tunnels) {
    let tunnels = Tunnels::new();
    (UpgradeProxyLayer::new(upstream.upstream()).tunnels(&tunnels), tunnels)
}

#[tokio::test]
async fn a_tunnels_status_identifies_it_and_its_counts_grow() {
    let (upstream, tunnels) = (EchoUpstream::start().await, Tunnels::new());
    let layer = UpgradeProxyLayer::new(upstream.upstream()).tunnels(&tunnels);
    let app = Router::new().fallback_service(layer.into_service());
    let mut client = Client::http1(serve_with_peers(app).await, "/chat?token=secret").await;
    client.echo("one").await;
    let list = tunnels.list();
    let [first] = &list[..] else { panic!("{list:?}") };
    let info = first.info();
    assert_eq!((info.path(), info.protocol(), info.label()), ("/chat", "websocket", None));
    assert_eq!((info.client(), info.upstream()), (Some([127, 0, 0, 1].into()), &upstream.upstream()));
    assert_eq!(first.state(), TunnelState::Open);
    // The client's frame is masked, the upstream's is not.
    assert_eq!((first.bytes(Side::Client), first.bytes(Side::Upstream)), (9, 5));
    assert_eq!((first.messages(Side::Client), first.messages(Side::Upstream)), (1, 1));

    tokio::time::sleep(Duration::from_millis(20)).await;
    let second = tunnels.get(info.id()).unwrap();
    assert!(second.age() > first.age() && second.idle() >= Duration::from_millis(15), "{second:?}");
    client.echo("three").await;
    let third = tunnels.get(info.id()).unwrap();
    assert!(third.idle() < third.age() && third.age() > second.age(), "{third:?}");
    assert_eq!((third.bytes(Side::Client), third.bytes(Side::Upstream)), (20, 12));
    assert_eq!((third.messages(Side::Client), third.messages(Side::Upstream)), (2, 2));
    client.close().await;
    drop(client);
    until(&tunnels, 0).await;
}

#[tokio::test]
async fn a_tunnel_is_half_closed_when_one_side_has_finished() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, tunnels) = listed(&upstream);
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    client.finish().await;
    assert_eq!(close_code(&server.rest().await), Some(1001));
    let state = || tunnels.list().iter().map(TunnelStatus::state).collect::<Vec<_>>();
    assert_eq!(state(), [TunnelState::HalfClosed]);
    server.finish().await;
    client.rest().await;
    until(&tunnels, 0).await;
}

#[tokio::test]
async fn failed_and_timed_out_tunnels_are_removed() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, tunnels) = listed(&upstream);
    let (client, _server) = open(app(layer.clone()).await, &upstream).await;
    assert_eq!(tunnels.len(), 1);
    client.reset();
    until(&tunnels, 0).await;

    let brief = Duration::from_millis(10);
    let layer = layer.tunnel(TunnelConfig::new().idle_timeout(brief).close_timeout(brief));
    let (_client, _server) = open(app(layer).await, &upstream).await;
    until(&tunnels, 0).await;
}

#[tokio::test]
async fn a_refused_upgrade_is_never_listed() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, tunnels) = listed(&upstream);
    let address = app(layer).await;
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    assert!(tunnels.is_empty(), "a handshake is no tunnel yet");
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 403);
    assert!(tunnels.is_empty());
}

#[tokio::test]
async fn a_pending_upgrade_is_listed_as_opening_until_it_fails() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, tunnels) = listed(&upstream);
    let layer = layer.upgrade_timeout(Duration::from_secs(1));
    let address = app_that_replaces_101s(layer).await;
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(tunnels.list()[0].state(), TunnelState::Opening);
    until(&tunnels, 0).await;
}

#[tokio::test]
async fn a_registry_spans_layers_and_runtimes_and_a_stopped_runtime_removes_its_tunnels() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, tunnels) = listed(&upstream);
    let other = UpgradeProxyLayer::per_request().upstream(upstream.upstream()).tunnels(&tunnels);
    let (one, two) =
        (Worker::start(Inner::Application, &layer).await, Worker::start(Inner::Application, &other).await);
    let mut pairs = Vec::new();
    for address in [one.address, two.address, one.address] {
        pairs.push(open(address, &upstream).await);
    }
    let ids = || tunnels.list().iter().map(|tunnel| tunnel.info().id()).collect::<Vec<_>>();
    let before = ids();
    assert!(before.len() == 3 && before.is_sorted(), "{before:?}");
    one.stop();
    assert_eq!(ids(), [before[1]]);
    two.stop();
    assert!(tunnels.is_empty());
}

#[tokio::test]
async fn a_resource_of_the_application_lives_as_long_as_the_tunnel() {
    let upstream = ScriptedUpstream::start().await;
    let semaphore = Arc::new(Semaphore::new(2));
    let permits = Arc::clone(&semaphore);
    let admit = map_request(move |mut request: Request| {
        let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
        request.extensions_mut().insert(TunnelResource::new(permit));
        ready(request)
    });
    let layer = UpgradeProxyLayer::new(upstream.upstream());
    let address = serve(Router::new().fallback_service(layer.into_service()).layer(admit)).await;
    let (client, server) = open(address, &upstream).await;
    assert_eq!(semaphore.available_permits(), 1);
    // A refused upgrade releases it with its response.
    let mut refused = Wire::connect(address).await;
    let mut other = upstream.receive(&mut refused, handshake("/")).await;
    assert_eq!(semaphore.available_permits(), 0);
    other.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(refused.head().await.status(), 403);
    assert_eq!(semaphore.available_permits(), 1);
    drop((client, server));
    drop(bounded("the end of the tunnel", semaphore.acquire_many(2)).await.unwrap());
}
