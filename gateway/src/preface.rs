//! HTTP version of a connection without TLS, from the client's first bytes.

use std::io::{self, Cursor};

use tokio::{
    io::{AsyncReadExt, Chain, Join, join},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// First bytes of HTTP/2's preface. HTTP/1.1 has no method of this name.
const PREFACE: [u8; 3] = *b"PRI";

/// Connection whose version is known.
pub(crate) enum Start {
    /// All bytes are still in the socket.
    Unread { socket: TcpStream, is_http2: bool },
    /// The client sent the first bytes one by one.
    Read { socket: Rewind, is_http2: bool },
}

/// Socket of which some bytes have been read, which are read again first.
pub(crate) type Rewind = Join<Chain<Cursor<Vec<u8>>, OwnedReadHalf>, OwnedWriteHalf>;

/// Waits for the bytes that determine the version. They are peeked, so that the connection remains an unread socket; this costs an
/// HTTP/1.1 connection one system call. Only a part of the preface is taken out of the socket, which would otherwise remain readable
/// while the rest is awaited.
pub(crate) async fn start(mut socket: TcpStream) -> io::Result<Start> {
    let mut start = [0; PREFACE.len()];
    let mut length = socket.peek(&mut start).await?;
    if !is_part(&start[..length]) {
        let is_http2 = start == PREFACE;
        return Ok(Start::Unread { socket, is_http2 });
    }
    socket.read_exact(&mut start[..length]).await?;
    while is_part(&start[..length]) {
        match socket.read(&mut start[length..]).await? {
            0 => break,
            more => length += more,
        }
    }
    let is_http2 = start == PREFACE;
    let (reader, writer) = socket.into_split();
    let socket = join(Cursor::new(start[..length].to_vec()).chain(reader), writer);
    Ok(Start::Read { socket, is_http2 })
}

/// Returns true if more bytes may complete the preface.
fn is_part(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes)
}
