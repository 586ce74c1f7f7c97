//! Errors of a direction.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

/// An error of the reader or of the writer.
#[derive(Clone, Debug)]
pub(in super::super) enum CopyError {
    Read(Arc<io::Error>),
    Write(Arc<io::Error>),
}

/// Result of a poll of a direction.
pub(in super::super) type PollCopy = Poll<Result<(), CopyError>>;

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

impl CopyError {
    pub(super) fn read(error: io::Error) -> Self {
        Self::Read(Arc::new(error))
    }

    pub(super) fn write(error: io::Error) -> Self {
        Self::Write(Arc::new(error))
    }
}
