//! A stream that is a tunnel, from either end.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::ReadBuf;

/// The DATA frames of both directions.
#[derive(Debug)]
pub(crate) struct Stream {
    outgoing: SendStream<Bytes>,
    incoming: RecvStream,
    /// What came and was not read.
    unread: Bytes,
}

impl Stream {
    pub(crate) fn new(outgoing: SendStream<Bytes>, incoming: RecvStream) -> Self {
        Self { outgoing, incoming, unread: Bytes::new() }
    }

    /// All of the bytes, as the peer's window lets them go.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = Bytes::copy_from_slice(bytes);
        while !bytes.is_empty() {
            let capacity = self.capacity(bytes.len()).await?;
            let data = bytes.split_to(capacity.min(bytes.len()));
            self.outgoing.send_data(data, false).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// How many bytes may be sent now: some of those that are wanted.
    async fn capacity(&mut self, wanted: usize) -> io::Result<usize> {
        self.outgoing.reserve_capacity(wanted);
        loop {
            match self.outgoing.capacity() {
                0 => match poll_fn(|cx| self.outgoing.poll_capacity(cx)).await {
                    Some(more) => drop(more.map_err(io::Error::other)?),
                    None => return Err(io::ErrorKind::BrokenPipe.into()),
                },
                capacity => return Ok(capacity),
            }
        }
    }

    /// Ends the stream, if the peer has not reset it, and waits for the peer's end: what is dropped before that
    /// is reset.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        let _ = self.outgoing.send_data(Bytes::new(), true);
        loop {
            poll_fn(|cx| self.poll_read_ready(cx)).await?;
            if self.take(usize::MAX)?.is_empty() {
                return Ok(());
            }
        }
    }

    /// Until there is something to read, or the end. That may be a reset: so a server says that it wants no more
    /// ([RFC 9113, section 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1)), and HAProxy cancels what its
    /// upstream has ended.
    pub(crate) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            self.unread = match ready!(self.incoming.poll_data(cx)) {
                Some(Ok(data)) => data,
                Some(Err(error)) if is_end(&error) => break,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => break,
            };
        }
        Poll::Ready(Ok(()))
    }

    /// At most one DATA frame; nothing at the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, free: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_read_ready(cx))?;
        free.put_slice(&self.take(free.remaining())?);
        Poll::Ready(Ok(()))
    }

    /// What was not read, up to a length. The peer may send as much again.
    fn take(&mut self, most: usize) -> io::Result<Bytes> {
        let taken = self.unread.split_to(most.min(self.unread.len()));
        self.incoming.flow_control().release_capacity(taken.len()).map_err(io::Error::other)?;
        Ok(taken)
    }
}

fn is_end(error: &h2::Error) -> bool {
    error.is_reset() && matches!(error.reason(), Some(Reason::NO_ERROR | Reason::CANCEL))
}
