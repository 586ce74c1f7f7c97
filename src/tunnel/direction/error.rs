//! What breaks a direction.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

/// An error, and which end it came from.
#[derive(Debug)]
pub(in super::super) enum CopyError {
    Read(Arc<io::Error>),
    Write(Arc<io::Error>),
}

/// What has become of a direction.
pub(in super::super) type PollCopy = Poll<Result<(), CopyError>>;

/// One write; a writer that takes nothing is broken.
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
        // No more than was offered, whatever the writer says.
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
