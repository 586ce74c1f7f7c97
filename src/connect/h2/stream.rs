//! [`Stream`]: a stream as one end of a tunnel.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{backlog::SMALL_WRITE, connection::StreamPermit};
use crate::io::any_io::AnyIo;

/// Both halves of a stream after an extended CONNECT
/// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
///
/// The window is released when bytes are read: if one side stops reading, the upstream stops sending on this
/// stream only. Bytes that are not read yet can be [buffered](AnyIo::buffer_incoming). A write takes no more
/// than the window allows. Dropping the stream before both sides have finished resets it (CANCEL), behind the
/// bytes written.
pub(crate) struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// The rest of a DATA frame that was larger than the reader's buffer.
    unread: Bytes,
    /// Later bytes, taken out of h2.
    buffered: Vec<u8>,
    permit: StreamPermit,
}

impl Stream {
    pub(super) fn new(send: SendStream<Bytes>, receive: RecvStream, permit: StreamPermit) -> Self {
        Self { send, receive, unread: Bytes::new(), buffered: Vec::new(), permit }
    }

    /// Moves unread bytes into `buf`.
    fn read(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let length = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        if self.unread.is_empty() {
            // An empty `Bytes` can still keep the connection's read buffer alive.
            self.unread = Bytes::new();
        }
        self.receive.flow_control().release_capacity(length).map_err(io_error)
    }
}

impl AnyIo for Stream {
    /// Copies the frames received into one piece of memory, at most a window. In h2 each small frame would
    /// cost far more than its bytes, and too many of them would end the whole connection.
    fn buffer_incoming(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(Ok(data))) = self.receive.poll_data(cx) {
            self.buffered.extend_from_slice(&data);
        }
    }
}

impl AsyncRead for Stream {
    /// Reads one frame, or as much of it as `buf` has room for.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            self.unread = mem::take(&mut self.buffered).into();
        }
        // An empty frame is not the end.
        while self.unread.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(data) => self.unread = data.map_err(io_error)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        Poll::Ready(self.read(buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.len() < SMALL_WRITE {
            ready!(self.permit.backlog().poll_unblocked(cx));
        }
        self.send.reserve_capacity(bytes.len());
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(capacity) => capacity.map_err(io_error)?,
                None => return Poll::Ready(Err(self.closed(cx))),
            };
        }
        let length = self.send.capacity().min(bytes.len());
        self.send.send_data(Bytes::copy_from_slice(&bytes[..length]), false).map_err(io_error)?;
        Poll::Ready(Ok(length))
    }

    /// Returns at once: the connection's task writes as soon as possible.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends `END_STREAM`.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io_error))
    }
}

impl Stream {
    /// Returns the reason that nothing more can be sent. A reset with `NO_ERROR` is not a failure of the
    /// tunnel: the upstream only reads no more.
    fn closed(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => {
                let kind = match reason {
                    Reason::NO_ERROR => io::ErrorKind::BrokenPipe,
                    _ => io::ErrorKind::ConnectionReset,
                };
                io::Error::new(kind, h2::Error::from(reason))
            }
            Poll::Ready(Err(error)) => io_error(error),
            Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.permit.release(self.receive.flow_control().clone());
    }
}

/// Returns the error of a socket that corresponds to that of a stream.
fn io_error(error: h2::Error) -> io::Error {
    let kind = match error.get_io() {
        Some(error) => error.kind(),
        None if error.is_reset() => io::ErrorKind::ConnectionReset,
        None => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, error)
}
