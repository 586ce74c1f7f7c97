//! A stream as one end of a tunnel.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::StreamPermit;
use crate::io::transport::AnyIo;

/// Both halves of a stream after an extended CONNECT
/// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
///
/// Bytes count as received when they are read, so a reader that stops stops the upstream on this
/// stream alone; until then they can be [buffered](AnyIo::buffer_incoming). What is written takes no more
/// than the window allows. Dropping it before both sides have finished resets the stream (CANCEL),
/// behind what was written.
pub(crate) struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    /// Of a DATA frame that was larger than the reader's buffer.
    rest: Bytes,
    /// What came after it, and is no longer in h2.
    taken_in: Vec<u8>,
    permit: StreamPermit,
}

impl Stream {
    pub(super) fn new(send: SendStream<Bytes>, receive: RecvStream, permit: StreamPermit) -> Self {
        Self { send, receive, rest: Bytes::new(), taken_in: Vec::new(), permit }
    }

    /// Moves what is left of a frame into `buf`.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let length = self.rest.len().min(buf.remaining());
        buf.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        if self.rest.is_empty() {
            // An empty one can still keep the connection's read buffer alive.
            self.rest = Bytes::new();
        }
        self.receive.flow_control().release_capacity(length).map_err(io_error)
    }
}

impl AnyIo for Stream {
    /// Copies the frames that have come into one piece of memory, as many as the window has let in. Left
    /// in h2, each would cost far more than its bytes if these are few, and too many of them end the
    /// whole connection.
    fn buffer_incoming(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(Ok(data))) = self.receive.poll_data(cx) {
            self.taken_in.extend_from_slice(&data);
        }
    }
}

impl AsyncRead for Stream {
    /// A frame, or what there is room for of one.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            self.rest = mem::take(&mut self.taken_in).into();
        }
        // A frame may be empty, and is no end.
        while self.rest.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(data) => self.rest = data.map_err(io_error)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        Poll::Ready(self.deliver(buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
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

    /// The connection's task writes as soon as it can.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends `END_STREAM`.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io_error))
    }
}

impl Stream {
    /// Why nothing more can be sent. An upstream that wants no more has not torn the tunnel down.
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

/// An error of a stream as one of a socket.
fn io_error(error: h2::Error) -> io::Error {
    let kind = match error.get_io() {
        Some(error) => error.kind(),
        None if error.is_reset() => io::ErrorKind::ConnectionReset,
        None => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, error)
}
