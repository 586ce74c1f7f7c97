//! The gateway as users run it: a program, its arguments and its sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod arguments;
mod balance;
mod connection_auth;
mod connections;
mod descriptors;
#[cfg(unix)]
mod drain;
mod early_responses;
mod forwarded;
mod header_case;
mod http2;
mod http_1_0;
mod https;
mod limits;
mod locations;
mod log;
mod memory;
mod origins;
mod process;
mod redirect;
mod send_timeout;
mod slow_clients;
mod status;
mod timeouts;
mod tunnels;
mod upstream;
mod upstream_ca;

use std::ops::{Deref, DerefMut};

use test_support::{Head, Wire, process::ServerProgram, websocket::Client};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    process::Command,
};
use tokio_tungstenite::tungstenite;

/// The gateway, as cargo has built it.
fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_upgrade-gateway"))
}

/// A running gateway; killed when dropped.
struct Gateway(ServerProgram);

impl Deref for Gateway {
    type Target = ServerProgram;

    fn deref(&self) -> &ServerProgram {
        &self.0
    }
}

impl DerefMut for Gateway {
    fn deref_mut(&mut self) -> &mut ServerProgram {
        &mut self.0
    }
}

impl Gateway {
    async fn start(arguments: &[&str]) -> Self {
        let mut command = command();
        command.args(arguments);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> Self {
        command.args(["--listen", "127.0.0.1:0"]).env("RUST_LOG", "debug");
        Self(ServerProgram::spawn(command).await)
    }

    /// Opens a WebSocket at `path`; an error if the handshake is refused.
    async fn websocket(&self, path: &str) -> Result<Client, tungstenite::Error> {
        Client::open(self.connect().await, path).await
    }

    /// The description of a handshake for `path` by its [upstream](upstream::start).
    async fn description(&self, path: &str) -> String {
        description(&mut self.websocket(path).await.unwrap()).await
    }

    /// The status of the refusal of an upgrade of `path`.
    async fn refusal(&self, path: &str) -> u16 {
        match self.websocket(path).await {
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("{other:?}"),
        }
    }
}

/// The description of the WebSocket's handshake by its [upstream](upstream::start).
async fn description(socket: &mut Client) -> String {
    socket.exchange("describe").await
}

/// The response to an ordinary request for `path`.
async fn get<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, path: &str) -> (Head, String) {
    let head = wire.request(format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n\r\n")).await;
    let body = wire.body(&head).await;
    (head, String::from_utf8(body).unwrap())
}
