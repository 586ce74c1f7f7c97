//! Upstreams that say who they are, to a WebSocket message as to an ordinary request.

use axum::{
    Router,
    extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Uri, header::HOST};

use crate::support::serve;

/// Starts one that answers with its name, the path and the host it was asked for, and the request's body.
pub(crate) async fn start(name: &'static str) -> String {
    format!("http://{}", serve(app(name)).await)
}

/// The same, on a unix socket.
#[cfg(unix)]
pub(crate) fn start_unix(folder: &tempfile::TempDir, name: &'static str) -> String {
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, app(name)).await.unwrap() });
    format!("unix:{}", path.display())
}

fn app(name: &'static str) -> Router {
    Router::new().fallback(move |upgrade, uri, headers, body| introduce(name, upgrade, uri, headers, body))
}

async fn introduce(
    name: &'static str,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let introduction = format!("{name} {uri} {}", headers[HOST].to_str().unwrap());
    let Ok(upgrade) = upgrade else { return (introduction + &body).into_response() };
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if message.to_text().is_ok() && socket.send(introduction.as_str().into()).await.is_err() {
                return;
            }
        }
    })
}
