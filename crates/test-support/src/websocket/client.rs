//! A client by tungstenite, over either version of HTTP.

use std::{fmt, net::SocketAddr};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message, protocol::Role},
};

use crate::{http2, io::Io, wire::bounded};

/// Code and reason of a received Close; [`ABNORMAL`] without one.
pub type CloseReceived = (u16, String);

/// Code for an end without a Close ([RFC 6455, 7.1.5](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5)).
pub const ABNORMAL: u16 = 1006;

/// The default Close of a drain.
pub fn going_away() -> CloseReceived {
    (1001, "going away".to_owned())
}

/// An open WebSocket.
pub struct Client {
    pub socket: WebSocketStream<Box<dyn Io>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an open WebSocket")
    }
}

impl Client {
    /// Opens a WebSocket in HTTP/1.1.
    pub async fn http1(address: SocketAddr, path: &str) -> Self {
        let stream = bounded("connect", TcpStream::connect(address)).await.unwrap();
        Self::open(stream, path).await.unwrap()
    }

    /// Opens a WebSocket in HTTP/2, on a connection of its own.
    pub async fn http2(address: SocketAddr, path: &str) -> Self {
        Self::on(&mut http2::Client::connect(address).await, path).await
    }

    /// Opens a WebSocket on a connection in HTTP/2.
    pub async fn on(connection: &mut http2::Client, path: &str) -> Self {
        Self::from_tunnel(connection.connect_websocket(path).tunnel().await).await
    }

    /// Opens a WebSocket in HTTP/1.1 on `stream`; an error if the handshake is refused.
    pub async fn open(stream: impl Io + 'static, path: &str) -> Result<Self, tungstenite::Error> {
        let stream: Box<dyn Io> = Box::new(stream);
        let handshake = client_async(format!("ws://client.example{path}"), stream);
        bounded("the handshake", handshake).await.map(|(socket, _)| Self { socket })
    }

    /// A WebSocket on a tunnel that is open already.
    pub async fn from_tunnel(tunnel: impl Io + 'static) -> Self {
        let tunnel: Box<dyn Io> = Box::new(tunnel);
        Self { socket: WebSocketStream::from_raw_socket(tunnel, Role::Client, None).await }
    }

    pub async fn send(&mut self, text: &str) {
        bounded("send", self.socket.send(Message::text(text))).await.unwrap();
    }

    /// The next message; `None` at the end, or after an error.
    pub async fn next(&mut self) -> Option<Message> {
        self.socket.next().await.and_then(Result::ok)
    }

    /// Sends a text and returns the text that comes back.
    pub async fn exchange(&mut self, text: &str) -> String {
        self.send(text).await;
        let message = bounded("a message", self.socket.next()).await.unwrap().unwrap();
        message.into_text().unwrap().to_string()
    }

    /// Sends a text and expects the same one back.
    pub async fn echo(&mut self, text: &str) {
        assert_eq!(self.exchange(text).await, text);
    }

    /// Sends a Close without a code.
    pub async fn close(&mut self) {
        bounded("close", self.socket.close(None)).await.unwrap();
    }

    /// Waits for the end of the connection. Returns the Close received before it.
    pub async fn closed(&mut self) -> CloseReceived {
        let mut close = None;
        while let Some(Ok(message)) = bounded("the end", self.socket.next()).await {
            if let Message::Close(frame) = message {
                close = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
            }
        }
        close.unwrap_or((ABNORMAL, String::new()))
    }
}

/// The response to an extended CONNECT for `websocket`, on a connection of its own.
pub async fn extended_connect(address: SocketAddr, path: &str) -> http::Response<h2::RecvStream> {
    let mut client = http2::Client::connect(address).await;
    client.connect_websocket(path).response().await.0
}
