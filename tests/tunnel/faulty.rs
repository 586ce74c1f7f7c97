//! Streams that misbehave in one particular way.

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

/// Always has bytes and always takes them, without a thought for other tasks.
pub(crate) struct Endless;

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buf.put_slice(b"and so on");
        Poll::Ready(Ok(()))
    }
}

/// Hears a message, then says nothing, and claims to have taken a number of bytes that is never
/// right. Remembers whether it was shut down.
pub(crate) struct Liar {
    pub(crate) message: &'static [u8],
    pub(crate) claims: usize,
    pub(crate) shut_down: Arc<AtomicBool>,
}

impl AsyncRead for Liar {
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

/// The write half of a stream whose writes all come to the same end.
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
writes!(Liar, |this, _bytes| this.claims, |this| this.shut_down.store(true, Ordering::SeqCst));

/// Says nothing, or that it has finished. Takes every byte, and fails when it is told of the end.
pub(crate) struct Deaf {
    pub(crate) finished: bool,
}

impl AsyncRead for Deaf {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.finished { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Deaf {
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
