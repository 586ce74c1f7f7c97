//! An upstream that echoes messages, in both versions of HTTP.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
};
use tokio::sync::mpsc;
use tower_upgrade_proxy::Upstream;

use crate::{
    serve::serve,
    websocket::{ABNORMAL, CloseReceived},
    wire::bounded,
};

/// An application that echoes every message, ends a WebSocket without a Close after a text that begins with `leave`,
/// and reports the ends.
pub struct EchoUpstream {
    address: std::net::SocketAddr,
    echoes: Arc<AtomicUsize>,
    closed: mpsc::UnboundedReceiver<CloseReceived>,
}

impl EchoUpstream {
    pub async fn start() -> Self {
        let (sender, closed) = mpsc::unbounded_channel();
        let echoes = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&echoes);
        let app = Router::new().fallback(move |upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(async move |socket| {
                let _ = sender.send(echo(socket, &count).await);
            })
        });
        Self { address: serve(app).await, echoes, closed }
    }

    pub fn upstream(&self) -> Upstream {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// Messages echoed so far.
    pub fn echoes(&self) -> usize {
        self.echoes.load(Ordering::SeqCst)
    }

    /// The Close that the next WebSocket to end has received.
    pub async fn closed(&mut self) -> CloseReceived {
        bounded("the end of a WebSocket at the upstream", self.closed.recv()).await.unwrap()
    }
}

async fn echo(mut socket: WebSocket, echoes: &AtomicUsize) -> CloseReceived {
    let mut close = None;
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            Message::Close(frame) => close = frame.map(|frame| (frame.code, frame.reason.to_string())),
            Message::Text(text) if text.as_str().starts_with("leave") => break,
            Message::Text(_) | Message::Binary(_) => {
                let is_sent = socket.send(message).await.is_ok();
                echoes.fetch_add(usize::from(is_sent), Ordering::SeqCst);
            }
            _ => {}
        }
    }
    close.unwrap_or((ABNORMAL, String::new()))
}
