//! One direction of a tunnel.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::scratch::with_scratch;

/// Reads in a row before other tasks get their turn.
const ROUNDS: usize = 16;

/// Moves bytes from a reader to a writer: `Running`, then `ShuttingDown`, then `Done`.
///
/// A read goes into the thread's scratch buffer and straight out of it. Only what the writer does
/// not take at once is moved to memory of its own, and given back as soon as it is written.
#[derive(Debug)]
pub(super) struct Direction {
    state: State,
    /// Read, and not yet taken by the writer. While it holds anything, nothing is read.
    rest: Bytes,
    /// Bytes the writer has taken.
    total: u64,
    /// The writer took bytes since it was last flushed.
    unflushed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Running,
    /// The reader has finished; what is left is written, then the writer is told.
    ShuttingDown,
    Done,
}

/// An error, and which end it came from.
#[derive(Debug)]
pub(super) enum Broken {
    Read(Arc<io::Error>),
    Write(Arc<io::Error>),
}

/// What one read and the writes after it came to.
enum Step {
    Moved,
    /// The writer did not take everything.
    Blocked(Bytes),
    Finished,
}

impl Direction {
    pub(super) fn new() -> Self {
        Self { state: State::Running, rest: Bytes::new(), total: 0, unflushed: false }
    }

    /// Bytes to deliver first.
    pub(super) fn preload(&mut self, early: Bytes) {
        // An empty `Bytes` can still keep a large buffer alive.
        self.rest = if early.is_empty() { Bytes::new() } else { early };
    }

    /// Bytes written so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether the reader has said that it sends no more.
    pub(super) fn finished(&self) -> bool {
        self.state != State::Running
    }

    /// Moves what can be moved now. Ready once the writer has been told of the end.
    pub(super) fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        for _ in 0..ROUNDS {
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                _ if !self.rest.is_empty() => ready!(self.poll_rest(cx, writer))?,
                State::ShuttingDown => {
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx)).map_err(Broken::write)?;
                    self.state = State::Done;
                }
                State::Running => match self.poll_step(cx, reader, writer)? {
                    Poll::Ready(Step::Moved) => {}
                    Poll::Ready(Step::Blocked(rest)) => self.rest = rest,
                    Poll::Ready(Step::Finished) => self.state = State::ShuttingDown,
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(Pin::new(&mut *writer).poll_flush(cx)).map_err(Broken::write)?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is left of an earlier read.
    fn poll_rest<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<Result<(), Broken>>
    where
        W: AsyncWrite + Unpin,
    {
        while !self.rest.is_empty() {
            let written = ready!(poll_write(cx, writer, &self.rest))?;
            self.rest.advance(written);
            self.wrote(written);
        }
        // Gives the memory back.
        self.rest = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// One read, written as far as the writer takes it.
    fn poll_step<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<Step, Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        with_scratch(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(reader).poll_read(cx, &mut buf)).map_err(Broken::read)?;
            let mut bytes = buf.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(Step::Finished));
            }
            while !bytes.is_empty() {
                match poll_write(cx, writer, bytes)? {
                    Poll::Ready(written) => {
                        self.wrote(written);
                        bytes = &bytes[written..];
                    }
                    Poll::Pending => return Poll::Ready(Ok(Step::Blocked(Bytes::copy_from_slice(bytes)))),
                }
            }
            Poll::Ready(Ok(Step::Moved))
        })
    }

    fn wrote(&mut self, bytes: usize) {
        self.total += bytes as u64;
        self.unflushed = true;
    }
}

/// One write; a writer that takes nothing is broken.
fn poll_write<W>(cx: &mut Context<'_>, writer: &mut W, bytes: &[u8]) -> Poll<Result<usize, Broken>>
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
    fn read(error: io::Error) -> Self {
        Self::Read(Arc::new(error))
    }

    fn write(error: io::Error) -> Self {
        Self::Write(Arc::new(error))
    }
}
