//! Upstream: an echo server, independent of the proxy in front of it.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
    routing::get,
};
use tokio::net::TcpListener;

/// Starts the server on a free port, and returns its address.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/ws/{*path}", get(upgrade));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async {
        // An error means that the connection has failed.
        let _ = echo(socket).await;
    })
}

/// Sends back every message. The library responds to pings and Closes.
async fn echo(mut socket: WebSocket) -> Result<(), axum::Error> {
    while let Some(message) = socket.recv().await.transpose()? {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message).await?;
        }
    }
    Ok(())
}
