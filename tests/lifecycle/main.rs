//! The life of tunnels between real sockets: who is told what when they are to end, and who is there.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod drain;
mod endings;
mod late;
mod refusal;
mod registry;
mod restart;
mod some;

use std::net::SocketAddr;

use axum::{Router, middleware::map_response, response::Response};
use http::StatusCode;
use test_support::{ScriptedUpstream, Wire, bounded, serve};
use tower_upgrade_proxy::{Tunnels, UpgradeProxyLayer};

/// An application with `layer` around an ordinary page.
async fn app(layer: UpgradeProxyLayer) -> SocketAddr {
    serve(Router::new().fallback(|| async { "a page" }).layer(layer)).await
}

/// An application in which no client gets hold of its end of a tunnel.
async fn app_that_replaces_101s(layer: UpgradeProxyLayer) -> SocketAddr {
    let replace = map_response(|response: Response| async move {
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => Response::new("replaced".into()),
            _ => response,
        }
    });
    serve(Router::new().fallback_service(layer.into_service()).layer(replace)).await
}

/// Both ends of a tunnel as bytes.
async fn open(address: SocketAddr, upstream: &ScriptedUpstream) -> (Wire, Wire) {
    upstream.tunnel(Wire::connect(address).await).await
}

/// Waits until as many stand as are expected. It is so a moment after the peers see it.
async fn until(tunnels: &Tunnels, number: usize) {
    let wait = async {
        while tunnels.len() != number {
            tokio::task::yield_now().await;
        }
    };
    bounded("the number of tunnels", wait).await;
}
