//! Behaviour of the upstream after the handshake of a WebSocket.

use crate::{
    Result,
    websocket::{
        FrameCounter, Message, ReadBuffer, Transport,
        frame::{self, FrameHeader},
    },
};

/// Payload length of a pushed frame.
pub(crate) const FRAME: usize = 64 * 1024;

/// Behaviour selected by the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Echo,
    Push(u64),
    Sink(u64),
}

impl Behaviour {
    /// Parses the path. Without `bytes`, the transfer is endless.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let bytes = match query.strip_prefix("bytes=") {
            Some(bytes) => bytes.parse().ok()?,
            None => u64::MAX,
        };
        match path {
            "/echo" => Some(Self::Echo),
            "/push" => Some(Self::Push(bytes)),
            "/sink" => Some(Self::Sink(bytes)),
            _ => None,
        }
    }
}

/// Runs until the other side closes.
pub(super) async fn run(
    mut transport: Transport,
    mut buffer: ReadBuffer,
    behaviour: Behaviour,
) -> Result<()> {
    match behaviour {
        Behaviour::Echo => {}
        Behaviour::Push(bytes) => push(&mut transport, bytes).await?,
        Behaviour::Sink(bytes) => sink(&mut transport, &mut buffer, bytes).await?,
    }
    echo(&mut transport, &mut buffer).await
}

/// Returns every message from its place in the buffer, which has room for the header because a server's header is shorter
/// than a client's. After a Close it sends one too, and ends the connection, as RFC 6455 requires of a server.
async fn echo(transport: &mut Transport, buffer: &mut ReadBuffer) -> Result<()> {
    loop {
        let bytes = buffer.bytes();
        let header = frame::header(bytes)?.filter(|header| header.total() <= bytes.len());
        let Some(header) = header else {
            buffer.fill(transport).await?;
            continue;
        };
        let message = &mut bytes[..header.total()];
        frame::mask(&mut message[header.size..], header.key.unwrap_or_default());
        let (echo, size) = FrameHeader::new(header.first, header.length, None).to_bytes();
        let from = header.size - size;
        message[from..header.size].copy_from_slice(&echo[..size]);
        transport.send(&message[from..]).await?;
        buffer.consume(header.total());
        if header.first == frame::CLOSE {
            transport.finish().await?;
            return Ok(());
        }
    }
}

async fn push(transport: &mut Transport, bytes: u64) -> Result<()> {
    let frame = frame::server(frame::BINARY, &Message::new(FRAME).payload);
    for _ in 0..bytes / FRAME as u64 {
        transport.send(&frame).await?;
    }
    Ok(())
}

async fn sink(transport: &mut Transport, buffer: &mut ReadBuffer, bytes: u64) -> Result<()> {
    let mut counter = FrameCounter::default();
    loop {
        counter.consume(buffer)?;
        if counter.payload >= bytes {
            break;
        }
        buffer.fill(transport).await?;
    }
    let counted = frame::server(frame::TEXT, counter.payload.to_string().as_bytes());
    Ok(transport.send(&counted).await?)
}
