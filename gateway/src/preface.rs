//! HTTP version of a connection without TLS, from the client's first bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
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
pub(crate) struct Rewind {
    socket: TcpStream,
    start: [u8; PREFACE.len()],
    /// Bytes of `start` that are read next.
    rest: std::ops::Range<usize>,
}

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
    Ok(Start::Read { socket: Rewind { socket, start, rest: 0..length }, is_http2 })
}

/// Returns true if more bytes may complete the preface.
fn is_part(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes)
}

impl AsyncRead for Rewind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let length = this.rest.len().min(buf.remaining());
        if length == 0 {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        buf.put_slice(&this.start[this.rest.start..this.rest.start + length]);
        this.rest.start += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
