//! Chromium, the gateway and an upstream in HTTP/1.1: WebSockets over the version of HTTP of the page.

use axum::{
    Router,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocketUpgrade},
    },
    response::{Html, Response},
    routing::get,
};
use http::{HeaderMap, Version, header::VIA};
use serde_json::json;
use test_support::{
    bounded,
    browser::{self, Browser, picture},
    process::ServerProgram,
    serve,
    tls::CertificateFiles,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// Event at the upstream of a WebSocket.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    /// The version of the request, and the `Via` that names the version of the client's.
    Handshake { version: Version, via: String },
    /// The code of the browser's close frame.
    Close(u16),
}

/// Properties of a WebSocket that depend on the version of HTTP.
struct Expected {
    scheme: &'static str,
    protocol: &'static str,
    status: u16,
    via: &'static str,
}

pub(crate) async fn http2() {
    let files = CertificateFiles::new();
    let tls = ["--tls-cert", &files.chain(), "--tls-key", &files.key()];
    let via = "2 tower-upgrade-proxy";
    visit(&tls, Expected { scheme: "https", protocol: "h2", status: 200, via }).await;
}

pub(crate) async fn http1() {
    let via = "1.1 tower-upgrade-proxy";
    visit(&[], Expected { scheme: "http", protocol: "http/1.1", status: 101, via }).await;
}

async fn visit(arguments: &[&str], expected: Expected) {
    let (upstream, mut received) = upstream().await;
    let mut command = crate::command();
    let route = format!("/={upstream}");
    command.args(["--listen", "127.0.0.1:0", "--route", &route, "--forwarded", "all"]).args(arguments);
    let gateway = ServerProgram::spawn(command).await;

    let url = format!("{}://{}/", expected.scheme, gateway.address);
    let mut page = Browser::open(browser::program().unwrap(), &url).await;
    assert_eq!(page.text("#protocol").await, expected.protocol, "the page");
    page.call("Network.enable", json!({})).await;
    let closes = [json!([4001, "the page says bye", true]), json!([4002, "the server says bye", true])];
    assert_eq!(page.evaluate("visit()").await, json!({ "echoed": 28, "closes": closes }));

    for code in [4001, 4002] {
        let response = page.event("Network.webSocketHandshakeResponseReceived").await;
        assert_eq!(response["response"]["status"], expected.status, "the WebSocket");
        let handshake = Received::Handshake { version: Version::HTTP_11, via: expected.via.to_owned() };
        assert_eq!(bounded("a handshake", received.recv()).await.unwrap(), handshake);
        assert_eq!(bounded("a close frame", received.recv()).await.unwrap(), Received::Close(code));
    }
    picture(&mut page, &format!("echo-{}", expected.scheme), 900, "light").await;
    page.close().await;
}

/// Serves the page and its WebSocket.
pub(crate) async fn upstream() -> (String, UnboundedReceiver<Received>) {
    let (sender, received) = mpsc::unbounded_channel();
    let page = Html(include_str!("echo.html"));
    let app = Router::new().route("/", get(page)).route("/ws", get(echo)).with_state(sender);
    (format!("http://{}", serve(app).await), received)
}

async fn echo(
    State(sender): State<UnboundedSender<Received>>,
    version: Version,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let via = headers[VIA].to_str().unwrap().to_owned();
    sender.send(Received::Handshake { version, via }).unwrap();
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            let reply = match message {
                Message::Close(frame) => {
                    sender.send(Received::Close(frame.map_or(1005, |frame| frame.code))).unwrap();
                    continue;
                }
                Message::Text(text) if text == "close it" => {
                    Message::Close(Some(CloseFrame { code: 4002, reason: "the server says bye".into() }))
                }
                Message::Text(_) | Message::Binary(_) => message,
                _ => continue,
            };
            if socket.send(reply).await.is_err() {
                return;
            }
        }
    })
}
