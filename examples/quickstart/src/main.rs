//! Chat in the browser, through the proxy: `cargo run -p quickstart`.
//!
//! One process has three parts: a WebSocket chat server on a separate port
//! (`chat.rs`); an axum application with a page; and the proxy between the two, at `/ws`.
//!
//! The argument is the address to listen on, 127.0.0.1:3000 by default.

mod chat;

use std::{env, error::Error, time::Duration};

use axum::{Router, response::Html, routing::get};
use tokio::net::TcpListener;
use tower_upgrade_proxy::{KeepAlive, PathRewrite, Side, TunnelInfo, TunnelSummary, UpgradeProxyLayer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let upstream = chat::start().await?;

    // The proxy: an upgrade request to `/ws` or below becomes a tunnel to the chat server. Pings keep it open.
    let proxy = UpgradeProxyLayer::new(format!("http://{upstream}").parse()?)
        .path(PathRewrite::original_uri()) // with the /ws that `nest_service` removes
        .keep_alive(KeepAlive::new().client(Duration::from_secs(30)))
        .on_tunnel(report);

    let app = Router::new()
        .route("/", get(Html(include_str!("index.html"))))
        .nest_service("/ws", proxy.into_service());

    let listener = listen().await?;
    println!("open http://{}/", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Prints a line for every tunnel that ends.
fn report(tunnel: &TunnelInfo, summary: &TunnelSummary) {
    println!(
        "tunnel {}: {} bytes up, {} bytes down in {:.1?}, {}",
        tunnel.id(),
        summary.bytes(Side::Client),
        summary.bytes(Side::Upstream),
        summary.duration(),
        summary.end(),
    );
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
