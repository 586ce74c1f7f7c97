//! [`Bounded`]: a [`Transport`] whose reads are bounded.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use super::transport::Transport;

/// A bound on the reads of a connection.
pub(crate) trait ReadBound: Unpin {
    /// Returns the maximum size of the next read, at least 1.
    ///
    /// # Errors
    ///
    /// If the connection may not be read any more.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Takes note of a read of as many bytes.
    fn on_read(&mut self, _bytes: usize) {}
}

/// A connection that is read within the bound `B`.
pub(crate) struct Bounded<B> {
    io: Take<Transport>,
    pub(crate) bound: B,
}

impl<B> Bounded<B> {
    pub(crate) fn new(transport: Transport, bound: B) -> Self {
        Self { io: transport.take(0), bound }
    }

    pub(crate) fn into_inner(self) -> Transport {
        self.io.into_inner()
    }
}

impl<B: ReadBound> AsyncRead for Bounded<B> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { io, bound } = self.get_mut();
        io.set_limit(ready!(bound.poll_next(cx))? as u64);
        let before = buf.filled().len();
        ready!(Pin::new(io).poll_read(cx, buf))?;
        bound.on_read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<B: Unpin> AsyncWrite for Bounded<B> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.io.get_mut()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(cx)
    }
}
