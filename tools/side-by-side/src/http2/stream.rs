//! HTTP/2 stream of a tunnel, at the client or at the upstream.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::ReadBuf;

/// DATA frames of both directions.
#[derive(Debug)]
pub(crate) struct Stream {
    outgoing: SendStream<Bytes>,
    incoming: RecvStream,
    /// Received bytes that were not read yet.
    unread: Bytes,
}

impl Stream {
    pub(crate) fn new(outgoing: SendStream<Bytes>, incoming: RecvStream) -> Self {
        Self { outgoing, incoming, unread: Bytes::new() }
    }

    /// Sends all bytes, as the peer's window permits.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = Bytes::copy_from_slice(bytes);
        while !bytes.is_empty() {
            let capacity = self.capacity(bytes.len()).await?;
            let data = bytes.split_to(capacity.min(bytes.len()));
            self.outgoing.send_data(data, false).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Waits for send capacity, and returns it. It may be less than `wanted`.
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

    /// Ends the stream, unless the peer has reset it, and waits for the peer's end: a stream that is dropped earlier is
    /// reset.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        let _ = self.outgoing.send_data(Bytes::new(), true);
        loop {
            poll_fn(|cx| self.poll_read_ready(cx)).await?;
            if self.take(usize::MAX)?.is_empty() {
                return Ok(());
            }
        }
    }

    /// Ready when there is data to read, or at the end. A reset without error is an end too: a server uses it to stop the
    /// client ([RFC 9113, section 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1)), and HAProxy cancels a stream
    /// that its upstream has ended.
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

    /// Reads at most one DATA frame; nothing at the end.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, free: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_read_ready(cx))?;
        free.put_slice(&self.take(free.remaining())?);
        Poll::Ready(Ok(()))
    }

    /// Returns up to `max` unread bytes, and releases their flow-control capacity.
    fn take(&mut self, max: usize) -> io::Result<Bytes> {
        let taken = self.unread.split_to(max.min(self.unread.len()));
        self.incoming.flow_control().release_capacity(taken.len()).map_err(io::Error::other)?;
        Ok(taken)
    }
}

fn is_end(error: &h2::Error) -> bool {
    error.is_reset() && matches!(error.reason(), Some(Reason::NO_ERROR | Reason::CANCEL))
}
