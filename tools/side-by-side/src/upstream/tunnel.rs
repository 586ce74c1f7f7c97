//! What the upstream does once it is a WebSocket.

use crate::{
    Result,
    websocket::{
        Inbox, Message, Skim, Transport,
        frame::{self, FrameHeader},
    },
};

/// The payload of a pushed frame.
pub(crate) const FRAME: usize = 64 * 1024;

/// Named by the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Echo,
    Push(u64),
    Sink(u64),
}

impl Behaviour {
    /// Without `bytes`, there is no end.
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

/// Until the other side closes.
pub(super) async fn run(mut transport: Transport, mut inbox: Inbox, behaviour: Behaviour) -> Result<()> {
    match behaviour {
        Behaviour::Echo => {}
        Behaviour::Push(bytes) => push(&mut transport, bytes).await?,
        Behaviour::Sink(bytes) => sink(&mut transport, &mut inbox, bytes).await?,
    }
    echo(&mut transport, &mut inbox).await
}

/// Sends every message back, from where it lies: a server's head is shorter than a client's. A Close is
/// answered, and the connection ended, as a server shall.
async fn echo(transport: &mut Transport, inbox: &mut Inbox) -> Result<()> {
    loop {
        let bytes = inbox.bytes();
        let header = frame::header(bytes)?.filter(|header| header.total() <= bytes.len());
        let Some(header) = header else {
            inbox.fill(transport).await?;
            continue;
        };
        let message = &mut bytes[..header.total()];
        frame::mask(&mut message[header.size..], header.key.unwrap_or_default());
        let (echo, size) = FrameHeader::new(header.first, header.length, None).to_bytes();
        let from = header.size - size;
        message[from..header.size].copy_from_slice(&echo[..size]);
        transport.send(&message[from..]).await?;
        inbox.consume(header.total());
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

async fn sink(transport: &mut Transport, inbox: &mut Inbox, bytes: u64) -> Result<()> {
    let mut skim = Skim::default();
    loop {
        skim.pass(inbox)?;
        if skim.payload >= bytes {
            break;
        }
        inbox.fill(transport).await?;
    }
    let counted = frame::server(frame::TEXT, skim.payload.to_string().as_bytes());
    Ok(transport.send(&counted).await?)
}
