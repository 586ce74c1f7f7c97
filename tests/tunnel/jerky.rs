//! A stream that reads and writes as little as it likes, or nothing for now.

use std::{
    io,
    iter::Cycle,
    pin::Pin,
    task::{Context, Poll, ready},
    vec::IntoIter,
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

pub(crate) struct Jerky {
    inner: DuplexStream,
    reads: Steps,
    writes: Steps,
}

/// How far each read or write gets.
struct Steps {
    steps: Cycle<IntoIter<u8>>,
    /// It was made to wait, or has to wait anyhow.
    waited: bool,
}

impl Jerky {
    /// Each step is for one read or write: so many bytes, 255 for all there are, 0 for none yet.
    pub(crate) fn new(inner: DuplexStream, steps: Vec<u8>) -> Self {
        let [reads, writes] =
            [steps.clone(), steps].map(|steps| Steps { steps: steps.into_iter().cycle(), waited: false });
        Self { inner, reads, writes }
    }
}

impl Steps {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        match self.steps.next() {
            Some(0) if !self.waited => {
                self.waited = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(u8::MAX) | None => Poll::Ready(usize::MAX),
            Some(bytes) => Poll::Ready(bytes.max(1).into()),
        }
    }
}

impl AsyncRead for Jerky {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = ready!(self.reads.poll_next(cx)).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        self.reads.waited = true;
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        self.reads.waited = false;
        let filled = part.filled().len();
        buf.advance(filled);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Jerky {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let most = ready!(self.writes.poll_next(cx)).min(bytes.len());
        self.writes.waited = true;
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..most]))?;
        self.writes.waited = false;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
