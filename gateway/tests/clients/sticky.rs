//! A sticky cookie that a 101 sets.

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    response::{Html, IntoResponse},
    routing::any,
};
use test_support::{
    browser::{self, Browser},
    process::ServerProgram,
    serve,
};

/// Starts an upstream that sends its name on each WebSocket.
async fn upstream(name: &'static str) -> String {
    let app = Router::new().fallback(any(move |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(async move |mut socket| {
            let _ = socket.send(Message::text(name)).await;
            while socket.recv().await.is_some_and(|message| message.is_ok()) {}
        })
    }));
    format!("http://{}", serve(app).await)
}

/// Opens WebSockets from a page of another port, so that only a 101 can have set the cookie.
pub(crate) async fn on_a_101() {
    let upstreams = [upstream("a").await, upstream("b").await, upstream("c").await].join(",");
    let mut command = crate::command();
    command.args(["--listen", "127.0.0.1:0", "--route", &format!("/={upstreams}")]);
    command.args(["--balance", "round-robin", "--sticky", "endpoint"]);
    let gateway = ServerProgram::spawn(command).await;
    let page = serve(Router::new().fallback(|| async { Html("<title>page</title>").into_response() })).await;
    let mut page = Browser::open(browser::program().unwrap(), &format!("http://{page}/")).await;
    let name = format!(
        "new Promise((resolve, reject) => {{
            const socket = new WebSocket('ws://{}/');
            socket.onmessage = event => {{ socket.close(); resolve(event.data); }};
            socket.onerror = () => reject('refused');
        }})",
        gateway.address
    );
    let first = page.evaluate(&name).await;
    for _ in 0..6 {
        assert_eq!(page.evaluate(&name).await, first);
    }
    page.close().await;
}
