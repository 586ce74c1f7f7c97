//! A tunnel over HTTP/1.1.

use std::io;

use test_support::websocket::handshake::accept;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::websocket::{BINARY, CLOSE, FLOOD, Received, from_upstream};

/// Payload of a frame of a flood.
const FLOOD_FRAME: &[u8] = &[0; 16 << 10];

/// Accepts the handshake, and echoes until the other side ends the tunnel.
pub(super) async fn serve(mut socket: TcpStream) -> io::Result<()> {
    let mut received = Received::default();
    let head = loop {
        match received.take_head() {
            Some(head) => break head,
            None if received.read(&socket).await? => {}
            None => return Ok(()),
        }
    };
    socket.write_all(&response(&head)).await?;
    loop {
        while let Some((first, payload)) = received.take_frame() {
            if payload == FLOOD {
                return flood(socket).await;
            }
            socket.write_all(&from_upstream(first, &payload)).await?;
            if first == CLOSE {
                return socket.shutdown().await;
            }
        }
        if !received.read(&socket).await? {
            return Ok(());
        }
    }
}

/// The 101 to a handshake, or a page for any other request.
fn response(head: &str) -> Vec<u8> {
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
    });
    match key {
        Some(key) => format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept(key)
        )
        .into_bytes(),
        None => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    }
}

/// Sends until an error, and waits while the other side does not read.
async fn flood(mut socket: TcpStream) -> io::Result<()> {
    let frame = from_upstream(BINARY, FLOOD_FRAME);
    loop {
        socket.write_all(&frame).await?;
    }
}
