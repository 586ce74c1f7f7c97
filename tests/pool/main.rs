//! Pools over sockets: which endpoint gets a request, for how long it counts, and what happens when endpoints fail or leave.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod failover;
mod leases;
mod leaving;
mod load;
mod sticky;

use std::net::SocketAddr;

use axum::Router;
use test_support::{ReservedPort, ScriptedUpstream, Wire, bounded, handshake, serve};
use tower_upgrade_proxy::{Endpoint, EndpointStatus, Pool, UpgradeProxyLayer, Upstream};

/// Serves the upgrades and the ordinary requests of `layer`.
async fn serve_both(layer: UpgradeProxyLayer) -> SocketAddr {
    serve(Router::new().fallback_service(layer.forward())).await
}

fn endpoint(upstream: Upstream) -> Endpoint {
    Endpoint::new(upstream)
}

/// An endpoint that refuses connections.
fn refusing(port: &ReservedPort) -> Endpoint {
    port.uri().parse().unwrap()
}

/// Waits until the endpoints have these loads, which change a moment after the peers see the end.
async fn until_loads_are(pool: &Pool, expected: &[usize]) {
    let wait = async {
        while pool.endpoints().iter().map(EndpointStatus::load).collect::<Vec<_>>() != expected {
            tokio::task::yield_now().await;
        }
    };
    bounded(&format!("the loads {expected:?} instead of {:?}", pool.endpoints()), wait).await;
}

/// Opens a tunnel to `upstream`, which the pool must choose. Returns its ends, the client's first.
async fn open(proxy: SocketAddr, upstream: &ScriptedUpstream) -> (Wire, Wire) {
    upstream.tunnel(Wire::connect(proxy).await).await
}

/// The status of a request alone on its connection.
async fn status(proxy: SocketAddr, request: &str) -> u16 {
    Wire::connect(proxy).await.request(request).await.status()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The two kinds of requests.
fn requests() -> [String; 2] {
    [GET.to_owned(), handshake("/")]
}
