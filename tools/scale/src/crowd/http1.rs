//! A tunnel over HTTP/1.1.

use std::{future::pending, io, net::SocketAddr};

use test_support::handshake;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::{HANDSHAKE, Member, Reader, SMALL_BUFFER};
use crate::{
    proxy::crowd_path,
    websocket::{BINARY, CLOSE, ECHO, FLOOD, Received, from_client},
};

/// Outcome of a handshake.
pub(super) enum Opened {
    Tunnel(TcpStream, Received),
    Refused(u16),
}

/// Opens a tunnel, and holds it until it ends.
pub(super) async fn run(address: SocketAddr, route: usize, reader: Reader, member: Member) {
    let permit = member.opening.acquire().await;
    let opened = open(address, &crowd_path(route), reader).await;
    drop(permit);
    match opened {
        Ok(Opened::Tunnel(socket, received)) => {
            member.counts.opened.add(1);
            let end = hold(socket, received, reader, &member).await;
            member.counts.end(end.is_err());
        }
        Ok(Opened::Refused(status)) => member.counts.refuse(status),
        Err(_) => member.counts.failed.add(1),
    }
}

/// Connects, and makes the handshake.
pub(super) async fn open(address: SocketAddr, path: &str, reader: Reader) -> io::Result<Opened> {
    let handshake = async {
        let socket = TcpSocket::new_v4()?;
        if reader == Reader::NeverReads {
            socket.set_recv_buffer_size(SMALL_BUFFER)?;
        }
        let mut socket = socket.connect(address).await?;
        socket.set_nodelay(true)?;
        socket.write_all(handshake(path).as_bytes()).await?;
        let mut received = Received::default();
        let status = loop {
            match received.take_head() {
                Some(head) => break head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0),
                None if received.read(&socket).await? => {}
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        Ok(if status == 101 { Opened::Tunnel(socket, received) } else { Opened::Refused(status) })
    };
    timeout(HANDSHAKE, handshake).await?
}

/// Holds a tunnel until the other side ends it. Responds to Closes.
pub(super) async fn hold(
    mut socket: TcpStream,
    mut received: Received,
    reader: Reader,
    member: &Member,
) -> io::Result<()> {
    if reader == Reader::NeverReads {
        socket.write_all(&from_client(BINARY, FLOOD)).await?;
        return pending().await;
    }
    let mut say = member.say.clone();
    loop {
        while let Some((first, payload)) = received.take_frame() {
            match first {
                CLOSE => {
                    member.counts.closes.add(1);
                    socket.write_all(&from_client(CLOSE, &payload)).await?;
                }
                _ => member.counts.echoed.add(1),
            }
        }
        tokio::select! {
            more = received.read(&socket) => if !more? {
                return Ok(());
            },
            Ok(()) = say.changed() => socket.write_all(&from_client(BINARY, ECHO)).await?,
        }
    }
}
