//! Live list of tunnels in the browser, and metrics for Prometheus:
//! `cargo run -p dashboard`.
//!
//! One process has a WebSocket echo server (`echo.rs`), the proxy in front of it
//! at `/ws`, a page at `/` that opens some tunnels, the dashboard at `/_tunnels` (`tunnels.rs`, `ended.rs`), and
//! the metrics at `/metrics` (`prometheus.rs`).
//!
//! The argument is the address to listen on, 127.0.0.1:3000 by default.

mod echo;
mod ended;
mod prometheus;
mod tunnels;

use std::{collections::HashMap, env, error::Error, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Query,
    response::{Html, Redirect},
    routing::get,
};
use http::{StatusCode, request::Parts};
use tokio::net::TcpListener;
use tower_upgrade_proxy::{
    Authorized, KeepAlive, PathRewrite, Rejection, TunnelLabel, Tunnels, UpgradeProxyLayer,
};

use ended::Ended;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let metrics = prometheus::routes()?;
    let upstream = echo::start().await?;

    // The dashboard shows the tunnels of this registry.
    let tunnels = Tunnels::new();
    let ended = Ended::default();
    let proxy = UpgradeProxyLayer::new(format!("http://{upstream}").parse()?)
        .path(PathRewrite::original_uri()) // with the /ws that `nest_service` removes
        .keep_alive(KeepAlive::new().client(Duration::from_secs(30)))
        .authorize(label)
        .on_tunnel(ended.clone())
        .tunnels(&tunnels);

    let app = Router::new()
        .route("/", get(Html(include_str!("demo.html"))))
        .nest_service("/ws", proxy.into_service())
        .nest("/_tunnels", tunnels::routes(tunnels, ended))
        .route("/_tunnels/", get(Redirect::permanent("/_tunnels")))
        .merge(metrics);

    let listener = listen().await?;
    println!("open http://{}/", listener.local_addr()?);
    // Provides the clients' addresses for the dashboard.
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// Labels the tunnel with its user. This example accepts any name in `?user=`; an application would check a password or
/// a token, and reject the request with 401.
async fn label(head: Parts) -> Result<Authorized, Rejection> {
    let query = Query::<HashMap<String, String>>::try_from_uri(&head.uri);
    let Query(query) = query.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(match query.get("user") {
        Some(user) => Authorized::new().label(TunnelLabel::new(user.as_str())),
        None => Authorized::new(),
    })
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
