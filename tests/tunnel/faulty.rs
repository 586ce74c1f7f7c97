//! Streams with one fault each.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// A stream that fails after its bytes.
pub(crate) struct Faulty {
    bytes: &'static [u8],
    read_error: Option<io::ErrorKind>,
    write_error: Option<io::ErrorKind>,
}

impl Faulty {
    /// Reads end in a reset. Writes are discarded.
    pub(crate) fn reset_after(bytes: &'static [u8]) -> Self {
        Self { bytes, read_error: Some(io::ErrorKind::ConnectionReset), write_error: None }
    }

    /// Writes fail. Reads return these bytes, and are then pending.
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

/// A stream that accepts one byte per write, and is pending every other time.
pub(crate) struct OneByteWrites {
    inner: DuplexStream,
    wait: bool,
}

impl OneByteWrites {
    pub(crate) fn new(inner: DuplexStream) -> Self {
        Self { inner, wait: false }
    }
}

impl AsyncRead for OneByteWrites {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for OneByteWrites {
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

/// A stream that is always ready, and does not yield.
pub(crate) struct Endless;

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buf.put_slice(b"and so on");
        Poll::Ready(Ok(()))
    }
}

/// A stream with one message, whose writes return a wrong number of bytes. Records its shutdown.
pub(crate) struct WrongCount {
    pub(crate) message: &'static [u8],
    pub(crate) count: usize,
    pub(crate) shut_down: Arc<AtomicBool>,
}

impl AsyncRead for WrongCount {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match std::mem::take(&mut self.message) {
            [] => Poll::Pending,
            message => {
                buf.put_slice(message);
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// Implements the write half of a stream with constant results.
macro_rules! writes {
    ($stream:ty, |$this:ident, $bytes:ident| $taken:expr, |$that:ident| $shutdown:expr) => {
        impl AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                $bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let $this = self;
                Poll::Ready(Ok($taken))
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $that = self;
                let () = $shutdown;
                Poll::Ready(Ok(()))
            }
        }
    };
}

writes!(Endless, |_this, bytes| bytes.len(), |_this| ());
writes!(WrongCount, |this, _bytes| this.count, |this| this.shut_down.store(true, Ordering::SeqCst));

/// A stream without bytes, whose shutdown fails.
pub(crate) struct FailingShutdown {
    /// The stream is at its end; otherwise reads are pending.
    pub(crate) finished: bool,
}

impl AsyncRead for FailingShutdown {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.finished { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for FailingShutdown {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
}
