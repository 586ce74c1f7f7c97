//! [`ReadFirst`]: a connection to an upstream on which a response is read although the request cannot be written.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose reader gets what was received before a write fails.
///
/// An upstream may respond before it has read the request, and close the connection: the next write fails while
/// the response is waiting to be read ([RFC 9112, 9.5](https://www.rfc-editor.org/rfc/rfc9112#section-9.5)). hyper's
/// client would lose the response. Here a failed write stays pending: the reader gets the response, and then the
/// end of the connection or the error.
#[derive(Debug)]
pub(crate) struct ReadFirst<T> {
    io: T,
    write_failed: bool,
}

impl<T> ReadFirst<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io, write_failed: false }
    }

    pub(crate) fn into_inner(self) -> T {
        self.io
    }

    /// Passes a result of the writer on, or leaves the writer pending if it is an error. hyper polls the reader in the
    /// same task, which the end of the connection wakes.
    fn written<R>(&mut self, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        match result {
            Poll::Ready(Err(_)) => {
                self.write_failed = true;
                Poll::Pending
            }
            other => other,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ReadFirst<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ReadFirst<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.write_failed {
            return Poll::Pending;
        }
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.written(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.write_failed {
            true => Poll::Ready(Ok(())),
            false => Pin::new(&mut self.io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncReadExt;

    use super::*;

    /// A connection that was reset by its peer, behind bytes that are not read yet.
    struct Reset(&'static [u8]);

    impl AsyncRead for Reset {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            buf.put_slice(std::mem::take(&mut self.0));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Reset {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_failed_write_is_pending_and_the_reader_gets_the_bytes_and_the_error() {
        let mut io = ReadFirst::new(Reset(b"response"));
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert!(Pin::new(&mut io).poll_write(&mut cx, b"request").is_pending());
        }
        let mut read = Vec::new();
        let error = io.read_to_end(&mut read).await.unwrap_err();
        assert_eq!((&*read, error.kind()), (&b"response"[..], io::ErrorKind::ConnectionReset));
    }
}
