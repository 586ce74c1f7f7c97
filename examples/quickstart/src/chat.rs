//! Upstream: a chat server, independent of the proxy in front of it.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    response::Response,
    routing::get,
};
use tokio::{
    net::TcpListener,
    sync::broadcast::{self, Sender, error::RecvError},
};

/// Maximum number of messages buffered for a slow reader; older ones are dropped.
const BACKLOG: usize = 256;

/// Starts the server on a free port, and returns its address.
pub(crate) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (everybody, _) = broadcast::channel(BACKLOG);
    let app = Router::new().route("/ws/", get(upgrade)).with_state(everybody);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn upgrade(upgrade: WebSocketUpgrade, State(everybody): State<Sender<Utf8Bytes>>) -> Response {
    upgrade.on_upgrade(|socket| async {
        // An error means that the connection has failed.
        let _ = chat(socket, everybody).await;
    })
}

/// Sends text messages to all participants, including the sender, and binary messages back to the sender. `/quit` ends
/// the connection.
async fn chat(mut socket: WebSocket, everybody: Sender<Utf8Bytes>) -> Result<(), axum::Error> {
    let mut messages = everybody.subscribe();
    loop {
        tokio::select! {
            message = socket.recv() => match message.transpose()? {
                Some(Message::Text(text)) if text == "/quit" => {
                    socket.send(goodbye()).await?;
                    break;
                }
                // This cannot fail, because this connection is a receiver.
                Some(Message::Text(text)) => drop(everybody.send(text)),
                Some(binary @ Message::Binary(_)) => socket.send(binary).await?,
                // The library responds to pings.
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                Some(Message::Close(_)) | None => break,
            },
            text = messages.recv() => match text {
                Ok(text) => socket.send(Message::Text(text)).await?,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
        }
    }
    // Reads until the closing handshake is complete.
    while socket.recv().await.transpose()?.is_some() {}
    Ok(())
}

fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: 4000, reason: "closed by /quit".into() }))
}
