//! The layer on real sockets: what exactly the upstream received, what exactly the client got.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod black_hole;
mod compose;
mod connect;
mod detect;
mod events;
mod failures;
mod forward;
mod forwarded;
mod http2;
mod http2_upstream;
mod limits;
mod metrics;
mod origin;
mod refusal;
mod respond;
mod rewrite;
mod spans;
mod tunnel;

use std::net::SocketAddr;

use axum::{Router, extract::Request, response::IntoResponse};
use test_support::{self as support, Scripted, Wire, serve};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// An application in which `layer` wraps a fallback that describes the request it got.
async fn app(layer: UpgradeProxyLayer) -> SocketAddr {
    serve(Router::new().fallback(describe).layer(layer)).await
}

/// The same for a scripted upstream and a layer without settings.
async fn app_for(upstream: &Scripted) -> SocketAddr {
    app(UpgradeProxyLayer::new(upstream.upstream())).await
}

/// Both ends of a tunnel through the application at `address`.
async fn open(address: SocketAddr, upstream: &Scripted) -> (Wire, Wire) {
    upstream.tunnel(Wire::connect(address).await).await
}

/// Method, target, version and every field, a line each; then the body.
async fn describe(request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let mut text = format!("{} {} {:?}\n", parts.method, parts.uri, parts.version).into_bytes();
    for (name, value) in &parts.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    text.extend(axum::body::to_bytes(body, 1 << 20).await.unwrap());
    text
}
