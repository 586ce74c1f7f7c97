//! Clients that cost much and give nothing.

use std::{io, net::SocketAddr, time::Duration};

use test_support::handshake;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::sleep};

use super::{
    Member, Reader,
    http1::{self, Opened},
};
use crate::{
    proxy::crowd_path,
    websocket::{BINARY, CLOSE, ECHO, Received, from_client},
};

/// Pause of a client between two connections.
const PAUSE: Duration = Duration::from_millis(1);

/// Behaviour of a hostile client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hostile {
    /// Sends half of a request's head, and waits.
    HalfHead,
    /// Opens a tunnel through which its upstream sends without end, and never reads.
    NeverReads,
    /// Opens a tunnel, receives a message, closes it, and begins again.
    OpensAndEnds,
    /// Requests a path without a route, again and again.
    IsRefused,
}

impl Hostile {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::HalfHead => "hold half a head",
            Self::NeverReads => "never read, while their upstream sends",
            Self::OpensAndEnds => "open and end tunnels",
            Self::IsRefused => "are refused",
        }
    }

    /// Returns true if a client does its harm again and again, and not only once.
    pub(crate) fn repeats(self) -> bool {
        matches!(self, Self::OpensAndEnds | Self::IsRefused)
    }
}

/// Behaves so until it is stopped. Errors are counted, and the client continues.
pub(super) async fn run(kind: Hostile, address: SocketAddr, client: usize, member: Member) {
    let path = crowd_path(client);
    match kind {
        Hostile::NeverReads => http1::run(address, client, Reader::NeverReads, member).await,
        Hostile::HalfHead => {
            let permit = member.opening.acquire().await;
            let Ok(mut socket) = TcpStream::connect(address).await else {
                return member.counts.failed.add(1);
            };
            let head = handshake(&path);
            let _ = socket.write_all(&head.as_bytes()[..head.len() / 2]).await;
            member.counts.opened.add(1);
            drop(permit);
            // Its end is that of the wait for the rest of the head.
            let mut received = Received::default();
            while received.read(&socket).await.unwrap_or(false) {}
            member.counts.end(false);
        }
        Hostile::OpensAndEnds | Hostile::IsRefused => loop {
            let path = if kind == Hostile::IsRefused { "/nothing" } else { &path };
            match open_and_end(address, path, &member).await {
                Ok(()) => {}
                Err(_) => member.counts.failed.add(1),
            }
            sleep(PAUSE).await;
        },
    }
}

/// Opens a tunnel, exchanges a message, and closes it.
async fn open_and_end(address: SocketAddr, path: &str, member: &Member) -> io::Result<()> {
    let (mut socket, mut received) = match http1::open(address, path, Reader::Reads).await? {
        Opened::Tunnel(socket, received) => (socket, received),
        Opened::Refused(status) => {
            member.counts.refuse(status);
            return Ok(());
        }
    };
    member.counts.opened.add(1);
    socket.write_all(&from_client(BINARY, ECHO)).await?;
    while received.take_frame().is_none() {
        if !received.read(&socket).await? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    member.counts.echoed.add(1);
    socket.write_all(&from_client(CLOSE, b"")).await?;
    while received.read(&socket).await? {}
    member.counts.end(false);
    Ok(())
}
