//! The writer of a direction.

use std::{
    any::TypeId,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{io::AsyncWrite, net::TcpStream};

use super::{CopyError, Direction, Phase, PollCopy};

impl Direction {
    /// Writes pending bytes.
    pub(super) fn poll_pending<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> PollCopy
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(pending) = &mut self.pending {
            let written = ready!(poll_write(cx, writer, pending.as_bytes()))?;
            let relayed = pending.advance(written);
            if pending.as_bytes().is_empty() {
                self.pending = None;
            }
            self.count_written(relayed);
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> PollCopy
    where
        W: AsyncWrite + Unpin,
    {
        if self.is_unflushed {
            ready!(Pin::new(writer).poll_flush(cx)).map_err(CopyError::write)?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Shuts down the writer. If the `other` direction is done, a socket is not shut down, as its close has the
    /// same effect.
    pub(super) fn poll_shutdown<W>(&mut self, cx: &mut Context<'_>, writer: &mut W, other: Phase) -> PollCopy
    where
        W: AsyncWrite + Unpin + 'static,
    {
        if other != Phase::Done || TypeId::of::<W>() != TypeId::of::<TcpStream>() {
            match ready!(Pin::new(writer).poll_shutdown(cx)) {
                // The writer's side has finished before, and may have closed its connection.
                Err(_) if other == Phase::Done => {}
                result => result.map_err(CopyError::write)?,
            }
        }
        self.phase = Phase::Done;
        Poll::Ready(Ok(()))
    }
}

/// Writes once. A writer that accepts nothing has failed.
pub(super) fn poll_write<W>(
    cx: &mut Context<'_>,
    writer: &mut W,
    bytes: &[u8],
) -> Poll<Result<usize, CopyError>>
where
    W: AsyncWrite + Unpin,
{
    match ready!(Pin::new(writer).poll_write(cx, bytes)) {
        Ok(0) => Poll::Ready(Err(CopyError::write(io::ErrorKind::WriteZero.into()))),
        // Never more than was offered, regardless of the number that the writer returns.
        Ok(written) => Poll::Ready(Ok(written.min(bytes.len()))),
        Err(error) => Poll::Ready(Err(CopyError::write(error))),
    }
}
