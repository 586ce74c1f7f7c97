//! An upstream that echoes, in both versions of HTTP, leaves when it is asked to, and tells how its WebSockets end.

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
};
use tokio::sync::mpsc;
use tower_upgrade_proxy::Upstream;

use crate::{
    bounded, serve,
    websocket::{ABNORMAL, Told},
};

pub struct Echo {
    address: std::net::SocketAddr,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Echo {
    pub async fn start() -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let app = Router::new().fallback(move |upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(async move |socket| {
                let _ = sender.send(echo(socket).await);
            })
        });
        Self { address: serve(app).await, told }
    }

    pub fn upstream(&self) -> Upstream {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// With what the next WebSocket was ended.
    pub async fn told(&mut self) -> Told {
        bounded("an end at the upstream", self.told.recv()).await.unwrap()
    }
}

async fn echo(mut socket: WebSocket) -> Told {
    let mut told = None;
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Close(frame) => told = frame.map(|frame| (frame.code, frame.reason.to_string())),
            Message::Text(text) if text.as_str().starts_with("leave") => break,
            Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
            _ => {}
        }
    }
    told.unwrap_or((ABNORMAL, String::new()))
}
