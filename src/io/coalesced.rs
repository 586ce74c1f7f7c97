//! [`Coalesced`], for streams in HTTP/2, hyper's or the h2 crate's.
//!
//! hyper's server owns the clients' streams. It copies and queues each write, reports a client's `CANCEL` as
//! an end, and sends an end before its reset.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::any_io::AnyIo;

/// Largest write. Each write is copied to memory of its own and queued, by hyper a few of them per stream. Small
/// writes keep the queue small while the peer does not read; 16 KiB is the default limit of a frame
/// ([RFC 9113, 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2)).
pub(crate) const MAX_WRITE: usize = 16 * 1024;

/// Coalesces reads, and limits writes to 16 KiB. The stream returns one frame per read; without coalescing,
/// each frame would become a write of its own.
pub(crate) struct Coalesced<T>(pub(crate) T);

impl<T: AsyncRead + Unpin> AsyncRead for Coalesced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            let so_far = buf.filled().len();
            match Pin::new(&mut self.0).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() > so_far && buf.remaining() > 0 => {}
                // The next read has the same result.
                Poll::Ready(Err(_)) | Poll::Pending if so_far > before => return Poll::Ready(Ok(())),
                result => return result,
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Coalesced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(MAX_WRITE)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<T: AnyIo> AnyIo for Coalesced<T> {
    fn buffer_incoming(&mut self, cx: &mut Context<'_>) {
        self.0.buffer_incoming(cx);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tokio::io::AsyncReadExt;

    use super::*;

    /// Results of reads: bytes, an end, an error, or nothing for now.
    struct Frames(VecDeque<Poll<io::Result<&'static [u8]>>>);

    impl AsyncRead for Frames {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match self.0.pop_front().unwrap() {
                Poll::Ready(Ok(bytes)) => buf.put_slice(bytes),
                Poll::Ready(Err(error)) => {
                    self.0.push_front(Poll::Ready(Err(error.kind().into())));
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn available_frames_are_read_together_and_none_is_waited_for() {
        let reset = || Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        let mut coalesced = Coalesced(Frames(VecDeque::from([
            Poll::Ready(Ok(&b"a"[..])),
            Poll::Ready(Ok(b"bc")),
            Poll::Pending,
            Poll::Pending,
            Poll::Ready(Ok(b"12345678")),
            Poll::Ready(Ok(b"d")),
            reset(),
        ])));
        let mut buf = [0; 8];
        for expected in [&b"abc"[..], b"12345678", b"d"] {
            let length = coalesced.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..length], expected);
        }
        assert_eq!(coalesced.read(&mut buf).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
