//! The upstream: a chat server that knows nothing of the proxy in front of it.

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

/// Messages kept for somebody who reads slowly; older ones are lost to them.
const BACKLOG: usize = 256;

/// Starts the server on a free port and says which.
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
        // An error means that the other side is gone.
        let _ = chat(socket, everybody).await;
    })
}

/// Text goes to everybody, its sender included; binary goes back; `/quit` ends the connection.
async fn chat(mut socket: WebSocket, everybody: Sender<Utf8Bytes>) -> Result<(), axum::Error> {
    let mut said = everybody.subscribe();
    loop {
        tokio::select! {
            message = socket.recv() => match message.transpose()? {
                Some(Message::Text(text)) if text == "/quit" => {
                    socket.send(goodbye()).await?;
                    break;
                }
                // There is always a receiver: this connection's own.
                Some(Message::Text(text)) => drop(everybody.send(text)),
                Some(binary @ Message::Binary(_)) => socket.send(binary).await?,
                // Pings are answered by the library.
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                Some(Message::Close(_)) | None => break,
            },
            text = said.recv() => match text {
                Ok(text) => socket.send(Message::Text(text)).await?,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
        }
    }
    // Reads on until the close is answered, whichever side has to answer it.
    while socket.recv().await.transpose()?.is_some() {}
    Ok(())
}

fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: 4000, reason: "you said /quit".into() }))
}
