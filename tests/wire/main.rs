//! The layer on real sockets: what exactly the upstream received, what exactly the client got.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod authorize;
mod black_hole;
mod compose;
mod compose_hyper;
mod connect;
mod connection_auth;
mod detect;
mod events;
mod failures;
mod forward;
mod forwarded;
mod http2;
mod http2_upstream;
mod limits;
mod metrics;
mod mounting;
mod origin;
mod pool;
mod refusal;
mod refusal_events;
mod repeat;
mod request_timeout;
mod respond;
mod rewrite;
mod send_timeout;
mod spans;
mod tunnel;
mod without_upgrades;

use std::net::SocketAddr;

use axum::Router;
use test_support::{ScriptedUpstream, Wire, proxy::describe, serve};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// Serves an application with `layer` around a fallback that describes the request.
async fn app(layer: UpgradeProxyLayer) -> SocketAddr {
    serve(Router::new().fallback(describe).layer(layer)).await
}

/// [`app`] for an upstream, with a layer without settings.
async fn app_for(upstream: &ScriptedUpstream) -> SocketAddr {
    app(UpgradeProxyLayer::new(upstream.upstream())).await
}

/// Opens a tunnel through the application at `address`. Returns its ends, the client's first.
async fn open(address: SocketAddr, upstream: &ScriptedUpstream) -> (Wire, Wire) {
    upstream.tunnel(Wire::connect(address).await).await
}
