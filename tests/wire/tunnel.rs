//! Tunnels between real sockets.

use std::time::Duration;

use axum::{Router, middleware::map_response, response::Response};
use http::StatusCode;
use test_support::{
    SWITCHING, ScriptedUpstream, Wire, handshake, proxy::Reports, proxy::describe, serve, serve_auto,
    serve_http1,
};
use tower_upgrade_proxy::{Side, TunnelEnd, UpgradeProxyLayer};

use crate::{app, open};

/// Returns a layer for `upstream`, and its reports.
fn reported(upstream: &ScriptedUpstream) -> (UpgradeProxyLayer, Reports) {
    Reports::of(UpgradeProxyLayer::new(upstream.upstream()))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn bulk_data_is_spliced_behind_every_server() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = reported(&upstream);
    let service = layer.into_service();
    let servers = [
        serve(Router::new().fallback_service(service.clone())).await,
        serve_auto(service.clone()).await,
        serve_http1(service).await,
    ];
    for address in servers {
        let (mut client, mut server) = open(address, &upstream).await;
        let block = vec![b'x'; 1 << 20];
        let (_, received) = tokio::join!(server.send(&block), client.exactly(block.len()));
        assert!(received == block);
        drop((client, server));
        let summary = reports.ended().await;
        assert!(summary.spliced() > 1 << 19, "{summary:?}");
    }
}

#[tokio::test]
async fn bytes_directly_behind_the_handshake_are_delivered_first_on_both_sides() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app(UpgradeProxyLayer::new(upstream.upstream())).await).await;
    let early = "e".repeat(3000);
    client.send(handshake("/") + &early).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(format!("{SWITCHING}{}", "u".repeat(5000))).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("then").await;
    server.send("then").await;
    server.expect(early + "then").await;
    client.expect("u".repeat(5000) + "then").await;
}

#[tokio::test]
async fn a_half_close_of_the_client_leaves_the_other_direction_open() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = reported(&upstream);
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    client.send("bye").await;
    client.finish().await;
    server.expect("bye").await;
    server.expect_end().await;
    server.send("not yet").await;
    client.expect("not yet").await;
    server.finish().await;
    client.expect_end().await;
    let summary = reports.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Client }), "{summary:?}");
}

#[tokio::test]
async fn a_half_close_of_the_upstream_leaves_the_other_direction_open() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = reported(&upstream);
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    server.send("bye").await;
    server.finish().await;
    client.expect("bye").await;
    client.expect_end().await;
    client.send("not yet").await;
    server.expect("not yet").await;
    client.finish().await;
    server.expect_end().await;
    let summary = reports.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::Closed { first: Side::Upstream }), "{summary:?}");
}

#[tokio::test]
async fn a_reset_of_one_side_closes_the_other_at_once() {
    for side in [Side::Client, Side::Upstream] {
        let upstream = ScriptedUpstream::start().await;
        let (layer, mut reports) = reported(&upstream);
        let (client, server) = open(app(layer).await, &upstream).await;
        let (resetting, mut other) = match side {
            Side::Client => (client, server),
            Side::Upstream => (server, client),
        };
        resetting.reset();
        let closed = async {
            match side {
                Side::Client => other.expect_close(1001).await,
                Side::Upstream => {
                    other.expect_end().await;
                    other.finish().await;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(1), closed).await.expect("within a second");
        let summary = reports.ended().await;
        assert!(
            matches!(summary.end(), TunnelEnd::Failed { side: failed, .. } if *failed == side),
            "{summary:?}"
        );
    }
}

#[tokio::test]
async fn idle_tunnels_end_on_both_sides_and_busy_ones_stay_open() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = reported(&upstream);
    let (mut client, mut server) =
        open(app(layer.idle_timeout(Duration::from_millis(1500))).await, &upstream).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        server.send(b"\x81\x04tick").await;
        client.expect(b"\x81\x04tick").await;
    }
    client.expect_end().await;
    client.finish().await;
    server.expect_close(1001).await;
    let summary = reports.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::IdleTimeout), "{summary:?}");
    assert!(summary.duration() >= Duration::from_millis(3500), "{summary:?}");
}

#[tokio::test]
async fn the_hook_is_called_at_the_opening_and_at_the_end_with_the_figures() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = reported(&upstream);
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    client.send(vec![1; 1000]).await;
    server.exactly(1000).await;
    server.send(vec![2; 70_000]).await;
    client.exactly(70_000).await;
    drop(client);
    drop(server);
    let (opened, none) = reports.next().await;
    assert!(none.is_none());
    let (closed, summary) = reports.next().await;
    let summary = summary.unwrap();
    assert_eq!(opened.id(), closed.id());
    assert_eq!((opened.protocol(), opened.upstream()), ("websocket", &upstream.upstream()));
    assert_eq!((summary.bytes(Side::Client), summary.bytes(Side::Upstream)), (1000, 70_000));
    assert!(summary.duration() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_101_replaced_by_an_outer_service_opens_no_tunnel() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = reported(&upstream);
    let layer = layer.upgrade_timeout(Duration::from_millis(100));
    let replace = map_response(|response: Response| async move {
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Response::new("replaced".into()),
            _ => response,
        }
    });
    let address = serve(Router::new().fallback(describe).layer(layer).layer(replace)).await;
    let mut client = Wire::connect(address).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    let head = client.head().await;
    assert_eq!((head.status(), client.body(&head).await), (200, b"replaced".to_vec()));
    server.expect_end().await;
    let summary = reports.ended().await;
    assert!(matches!(summary.end(), TunnelEnd::UpgradeTimeout), "{summary:?}");
}

#[tokio::test]
async fn a_client_that_disconnects_while_the_101_is_sent_releases_the_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, mut reports) = reported(&upstream);
    let address = app(layer).await;
    let mut client = Wire::connect(address).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    client.reset();
    let _ = tokio::io::AsyncWriteExt::write_all(&mut server.stream, SWITCHING.as_bytes()).await;
    server.rest().await;
    // No tunnel is left, whichever the proxy received first, the reset or the 101.
    let report = tokio::time::timeout(Duration::from_millis(500), reports.next()).await;
    if let Ok((_, None)) = report {
        assert!(!reports.ended().await.end().is_orderly());
    }
}

#[tokio::test]
async fn small_messages_are_not_delayed_on_the_clients_socket() {
    let upstream = ScriptedUpstream::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().layer(UpgradeProxyLayer::new(upstream.upstream()));
    let (sender, socket) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let stream = listener.accept().await.unwrap().0.into_std().unwrap();
        sender.send(stream.try_clone().unwrap()).unwrap();
        let stream = tokio::net::TcpStream::from_std(stream).unwrap();
        let service = hyper_util::service::TowerToHyperService::new(app);
        let io = hyper_util::rt::TokioIo::new(stream);
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades().await
    });
    let mut client = Wire::connect(address).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    let socket = socket.await.unwrap();
    assert!(!socket.nodelay().unwrap());
    server.head().await;
    server.send(format!("{SWITCHING}first")).await;
    client.head().await;
    client.expect("first").await;
    assert!(socket.nodelay().unwrap());
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_reading_from_the_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let (layer, _reports) = reported(&upstream);
    let (mut client, mut server) = open(app(layer).await, &upstream).await;
    let block = vec![7; 1 << 20];
    let mut taken = 0;
    // A write that does not complete at once finds all buffers full.
    while let Ok(written) = tokio::time::timeout(
        Duration::from_millis(500),
        tokio::io::AsyncWriteExt::write(&mut server.stream, &block),
    )
    .await
    {
        taken += written.unwrap();
        assert!(taken < 64 << 20, "the proxy reads more than the client");
    }
    server.finish().await;
    assert_eq!(client.exactly(taken).await.len(), taken);
    client.expect_end().await;
}

#[tokio::test]
async fn the_bytes_of_a_hundred_concurrent_tunnels_do_not_mix() {
    let upstream = ScriptedUpstream::start().await;
    let address = app(UpgradeProxyLayer::new(upstream.upstream())).await;
    let mut tunnels = Vec::new();
    for number in 0..100 {
        let mut client = Wire::connect(address).await;
        client.send(handshake(&format!("/{number}"))).await;
        let mut server = upstream.accept().await;
        assert_eq!(server.head().await.first_line(), format!("GET /{number} HTTP/1.1"));
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
        tunnels.push((client, server));
    }
    for (number, (client, server)) in tunnels.iter_mut().enumerate() {
        client.send(format!("up {number}")).await;
        server.send(format!("down {number}")).await;
    }
    for (number, (client, server)) in tunnels.iter_mut().enumerate() {
        server.expect(format!("up {number}")).await;
        client.expect(format!("down {number}")).await;
    }
}
