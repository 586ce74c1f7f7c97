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
pub(in super::super) enum Broken {
    Read(Arc<io::Error>),
    Write(Arc<io::Error>),
}

/// What has become of a direction.
pub(in super::super) type Copied = Poll<Result<(), Broken>>;

/// One write; a writer that takes nothing is broken.
pub(super) fn poll_write<W>(cx: &mut Context<'_>, writer: &mut W, bytes: &[u8]) -> Poll<Result<usize, Broken>>
where
    W: AsyncWrite + Unpin,
{
    match ready!(Pin::new(writer).poll_write(cx, bytes)) {
        Ok(0) => Poll::Ready(Err(Broken::write(io::ErrorKind::WriteZero.into()))),
        // No more than was offered, whatever the writer says.
        Ok(written) => Poll::Ready(Ok(written.min(bytes.len()))),
        Err(error) => Poll::Ready(Err(Broken::write(error))),
    }
}

impl Broken {
    pub(super) fn read(error: io::Error) -> Self {
        Self::Read(Arc::new(error))
    }

    pub(super) fn write(error: io::Error) -> Self {
        Self::Write(Arc::new(error))
    }
}
