//! Plain HTTP upstream: a page that shows the forwarded fields about the client, and an
//! echo for its WebSocket.

use std::io;

use axum::{
    Router,
    extract::ws::{WebSocket, WebSocketUpgrade},
    response::Html,
    routing::get,
};
use http::HeaderMap;
use tokio::net::TcpListener;
use tower_upgrade_proxy::Upstream;

/// Starts the upstream on a free port.
pub(crate) async fn start() -> io::Result<Upstream> {
    let app = Router::new().route("/", get(page)).route("/ws", get(echo));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let upstream = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    upstream.parse().map_err(io::Error::other)
}

async fn page(headers: HeaderMap) -> Html<String> {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("not set");
    let rows: String = ["host", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"]
        .map(|name| format!("<tr><th>{name}<td id={name}>{}", field(name).replace('<', "&lt;")))
        .concat();
    Html(include_str!("index.html").replace("<!-- rows -->", &rows))
}

async fn echo(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(|mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}
