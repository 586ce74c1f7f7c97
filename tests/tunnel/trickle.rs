//! A stream whose reads and writes are limited by steps.

use std::{
    io,
    iter::Cycle,
    pin::Pin,
    task::{Context, Poll, ready},
    vec::IntoIter,
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

pub(crate) struct Trickle {
    inner: DuplexStream,
    reads: Steps,
    writes: Steps,
}

/// Limits of consecutive reads or writes.
struct Steps {
    steps: Cycle<IntoIter<u8>>,
    /// The current call has been pending: it gets no second pause.
    has_waited: bool,
}

impl Trickle {
    /// Each step applies to one read and one write: a number of bytes, 255 for no limit, 0 for one `Pending`.
    pub(crate) fn new(inner: DuplexStream, steps: Vec<u8>) -> Self {
        let [reads, writes] =
            [steps.clone(), steps].map(|steps| Steps { steps: steps.into_iter().cycle(), has_waited: false });
        Self { inner, reads, writes }
    }
}

impl Steps {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        match self.steps.next() {
            Some(0) if !self.has_waited => {
                self.has_waited = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(u8::MAX) | None => Poll::Ready(usize::MAX),
            Some(bytes) => Poll::Ready(bytes.max(1).into()),
        }
    }
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let limit = ready!(self.reads.poll_next(cx)).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(limit));
        self.reads.has_waited = true;
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        self.reads.has_waited = false;
        let filled = part.filled().len();
        buf.advance(filled);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trickle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let limit = ready!(self.writes.poll_next(cx)).min(bytes.len());
        self.writes.has_waited = true;
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..limit]))?;
        self.writes.has_waited = false;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
