//! The gateway as its users have it: a program, its arguments and its sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod arguments;
mod descriptors;
#[cfg(unix)]
mod drain;
mod forwarded;
mod http2;
mod https;
mod limits;
mod locations;
mod origins;
mod process;
mod redirect;
mod slow_clients;
mod status;
mod timeouts;
mod tunnels;
mod upstream;

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use test_support::{self as support, Head, Wire, bounded, identity, program::Program};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    process::Command,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message},
};

/// The gateway, as cargo has built it.
fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gateway"))
}

/// A running gateway; killed when dropped.
struct Gateway {
    address: SocketAddr,
    program: Program,
}

impl Gateway {
    async fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(arguments);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "debug");
        let mut program = Program::spawn(command);
        let address = program.line_after("listening on ").await.parse().unwrap();
        Self { address, program }
    }

    async fn connect(&self) -> TcpStream {
        bounded("connect", TcpStream::connect(self.address)).await.unwrap()
    }

    async fn wire(&self) -> Wire {
        Wire::new(self.connect().await)
    }

    /// A WebSocket handshake for `path`.
    async fn websocket(&self, path: &str) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
        websocket(self.connect().await, path).await
    }

    /// What the upstream that `path` leads to says of itself.
    async fn ask(&self, path: &str) -> String {
        answer(&mut self.websocket(path).await.unwrap()).await
    }

    /// The status with which an upgrade of `path` is refused.
    async fn refusal(&self, path: &str) -> u16 {
        match self.websocket(path).await {
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("{other:?}"),
        }
    }
}

async fn websocket<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    path: &str,
) -> Result<WebSocketStream<S>, tungstenite::Error> {
    let url = format!("ws://client.example{path}");
    bounded("handshake", client_async(url, stream)).await.map(|(socket, _)| socket)
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> String {
    bounded("send", socket.send(Message::text("who?"))).await.unwrap();
    bounded("a message", socket.next()).await.unwrap().unwrap().into_text().unwrap().to_string()
}

/// The answer to an ordinary request for `path`.
async fn get<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, path: &str) -> (Head, String) {
    let head = wire.ask(format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n\r\n")).await;
    let body = wire.body(&head).await;
    (head, String::from_utf8(body).unwrap())
}
