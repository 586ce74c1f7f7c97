//! Tunnels between real sockets: the Close that each side gets at their end, drains, and the list of open tunnels.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod drain;
mod endings;
mod handshakes;
mod refusal;
mod registry;
mod restart;
mod selection;

use std::net::SocketAddr;

use axum::{Router, middleware::map_response, response::Response};
use http::StatusCode;
use test_support::{ScriptedUpstream, Wire, bounded, serve};
use tower_upgrade_proxy::{Tunnels, UpgradeProxyLayer};

/// Serves `layer` around an ordinary page.
async fn app(layer: UpgradeProxyLayer) -> SocketAddr {
    serve(Router::new().fallback(|| async { "a page" }).layer(layer)).await
}

/// Serves `layer` behind a middleware that replaces each 101, so that no upgrade completes.
async fn app_that_replaces_101s(layer: UpgradeProxyLayer) -> SocketAddr {
    let replace = map_response(|response: Response| async move {
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Response::new("replaced".into()),
            _ => response,
        }
    });
    serve(Router::new().fallback_service(layer.into_service()).layer(replace)).await
}

/// Opens a tunnel. Returns its ends, the client's first.
async fn open(address: SocketAddr, upstream: &ScriptedUpstream) -> (Wire, Wire) {
    upstream.tunnel(Wire::connect(address).await).await
}

/// Waits for the number of open tunnels, which changes a moment after the peers see the end.
async fn until(tunnels: &Tunnels, number: usize) {
    let wait = async {
        while tunnels.len() != number {
            tokio::task::yield_now().await;
        }
    };
    bounded("the number of tunnels", wait).await;
}
