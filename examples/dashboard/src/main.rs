//! Live list of tunnels in the browser, and metrics for Prometheus:
//! `cargo run -p dashboard`.
//!
//! One process has a WebSocket echo server (`echo.rs`), the proxy in front of it
//! at `/ws/`, a page at `/` that opens some tunnels, the dashboard at `/_tunnels` (`tunnels.rs`), and
//! the metrics at `/metrics` (`prometheus.rs`).
//!
//! The argument is the address to listen on, 127.0.0.1:3000 by default.

mod echo;
mod prometheus;
mod tunnels;

use std::{collections::HashMap, env, error::Error, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{Query, Request},
    middleware::{Next, from_fn},
    response::{Html, Redirect, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tower::Layer;
use tower_upgrade_proxy::{TunnelLabel, Tunnels, UpgradeProxyLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let metrics = prometheus::routes()?;
    let upstream = echo::start().await?;

    // The dashboard shows the tunnels of this registry.
    let tunnels = Tunnels::new();
    let proxy = UpgradeProxyLayer::new(format!("http://{upstream}").parse()?)
        .idle_timeout(Duration::from_secs(600))
        .tunnels(&tunnels);

    let app = Router::new()
        .route("/", get(Html(include_str!("demo.html"))))
        .route_service("/ws/{*path}", from_fn(label).layer(proxy.into_service()))
        .nest("/_tunnels", tunnels::routes(tunnels))
        .route("/_tunnels/", get(Redirect::permanent("/_tunnels")))
        .merge(metrics);

    let listener = listen().await?;
    println!("open http://{}/", listener.local_addr()?);
    // Provides the clients' addresses for the dashboard.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// Labels the tunnel with its user. This example accepts any name in `?user=`; an application would use the authenticated
/// user.
async fn label(Query(query): Query<HashMap<String, String>>, mut request: Request, next: Next) -> Response {
    if let Some(user) = query.get("user") {
        request.extensions_mut().insert(TunnelLabel::new(user.as_str()));
    }
    next.run(request).await
}

/// Listens on the address of the first argument; without one on port 3000, or on a free port if that is in use.
async fn listen() -> std::io::Result<TcpListener> {
    match env::args().nth(1) {
        Some(address) => TcpListener::bind(address).await,
        None => match TcpListener::bind("127.0.0.1:3000").await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                TcpListener::bind("127.0.0.1:0").await
            }
            bound => bound,
        },
    }
}
