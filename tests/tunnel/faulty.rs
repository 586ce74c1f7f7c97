//! Streams that misbehave in one particular way.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Gives its bytes, then fails.
pub(crate) struct Faulty {
    bytes: &'static [u8],
    read_error: Option<io::ErrorKind>,
    write_error: Option<io::ErrorKind>,
}

impl Faulty {
    /// Reads end in a reset; writes are swallowed.
    pub(crate) fn reset_after(bytes: &'static [u8]) -> Self {
        Self { bytes, read_error: Some(io::ErrorKind::ConnectionReset), write_error: None }
    }

    /// Writes fail; there are bytes to read, and then none, but no end either.
    pub(crate) fn broken_pipe_with(bytes: &'static [u8]) -> Self {
        Self { bytes, read_error: None, write_error: Some(io::ErrorKind::BrokenPipe) }
    }
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match (std::mem::take(&mut self.bytes), self.read_error) {
            ([], Some(error)) => Poll::Ready(Err(error.into())),
            ([], None) => Poll::Pending,
            (bytes, _) => {
                buf.put_slice(bytes);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write_error.map_or(Ok(bytes.len()), |error| Err(error.into())))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Takes one byte per write, and makes the writer wait every other time.
pub(crate) struct OneByteAtATime {
    inner: DuplexStream,
    wait: bool,
}

impl OneByteAtATime {
    pub(crate) fn new(inner: DuplexStream) -> Self {
        Self { inner, wait: false }
    }
}

impl AsyncRead for OneByteAtATime {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for OneByteAtATime {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.wait = !self.wait;
        if self.wait {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_write(cx, &bytes[..1])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
