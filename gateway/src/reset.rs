//! Connections of clients in HTTP/1.0 that end with a reset if a response is aborted.
//!
//! HTTP/1.0 has no chunks: a body without a length ends with the connection. An aborted one must end in another way, or it
//! would look complete to the client; nginx as a client, whose default is HTTP/1.0, would even cache it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Maximum length of a request line that is recognized.
const LINE: usize = 2048;

/// Returns true if the client's first request, as far as it has arrived, is in HTTP/1.0. The bytes are peeked.
pub(crate) fn is_http_1_0(socket: &TcpStream) -> bool {
    let mut start = [0; LINE];
    let mut start = ReadBuf::new(&mut start);
    let peeked = socket.poll_peek(&mut Context::from_waker(Waker::noop()), &mut start);
    let line = start.filled().split(|byte| *byte == b'\n').next().unwrap_or_default();
    matches!(peeked, Poll::Ready(Ok(_))) && line.trim_ascii_end().ends_with(b" HTTP/1.0")
}

/// A socket that is reset when it is dropped, unless its sending direction was shut down before. hyper does that after
/// complete responses, and not after an aborted one.
#[derive(Debug)]
pub(crate) struct ResetUnlessShutDown {
    socket: TcpStream,
    is_shut_down: bool,
}

impl ResetUnlessShutDown {
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, is_shut_down: false }
    }
}

impl Drop for ResetUnlessShutDown {
    fn drop(&mut self) {
        if !self.is_shut_down {
            // Fails only on a socket that is already closed.
            let _ = self.socket.set_zero_linger();
        }
    }
}

impl AsyncRead for ResetUnlessShutDown {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for ResetUnlessShutDown {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
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
        self.is_shut_down = true;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
