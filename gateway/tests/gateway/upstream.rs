//! Upstreams that describe requests, in responses and in WebSocket messages.

use axum::{
    Router,
    extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Uri, header::HOST};
use test_support::serve;

/// Starts one that responds with its name, the request's target, host and body. A WebSocket receives the same, without
/// a body, for each message.
pub(crate) async fn start(name: &'static str) -> String {
    format!("http://{}", serve(app(name)).await)
}

/// [`start`] on a unix socket.
#[cfg(unix)]
pub(crate) fn start_unix(folder: &tempfile::TempDir, name: &'static str) -> String {
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, app(name)).await.unwrap() });
    format!("unix:{}", path.display())
}

fn app(name: &'static str) -> Router {
    Router::new().fallback(move |upgrade, uri, headers, body| describe(name, upgrade, uri, headers, body))
}

async fn describe(
    name: &'static str,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let description = format!("{name} {uri} {}", headers[HOST].to_str().unwrap());
    let Ok(upgrade) = upgrade else { return (description + &body).into_response() };
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            if message.to_text().is_ok() && socket.send(description.as_str().into()).await.is_err() {
                return;
            }
        }
    })
}
