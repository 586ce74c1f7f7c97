//! One direction of a tunnel.

use std::{
    any::TypeId,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    known::take_in,
    scratch::with_scratch,
    splice::{Bulk, Emptied, sockets},
};

/// Reads in a row before other tasks get their turn.
const ROUNDS: usize = 16;

/// Moves bytes from a reader to a writer: `Running`, then `ShuttingDown`, then `Done`.
///
/// A read goes into the thread's scratch buffer and straight out of it. Only what the writer does
/// not take at once is moved to memory of its own, and given back as soon as it is written.
#[derive(Debug)]
pub(super) struct Direction {
    state: State,
    /// Read, and not yet taken by the writer. While there is any, nothing is read. In a box, as
    /// most tunnels have none for most of their life.
    rest: Option<Box<Bytes>>,
    /// Bytes the writer has taken.
    total: u64,
    /// Those of them that went through a pipe.
    spliced: u64,
    bulk: Bulk,
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
    /// It stands in a pipe.
    Piped,
    /// The writer did not take everything.
    Blocked(Bytes),
    Finished,
}

impl Direction {
    pub(super) fn new() -> Self {
        Self {
            state: State::Running,
            rest: None,
            total: 0,
            spliced: 0,
            bulk: Bulk::default(),
            unflushed: false,
        }
    }

    /// Bytes to deliver first.
    pub(super) fn preload(&mut self, early: Bytes) {
        // An empty `Bytes` can still keep a large buffer alive.
        self.rest = (!early.is_empty()).then(|| Box::new(early));
    }

    /// Bytes written so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that were spliced, of those written.
    pub(super) fn spliced(&self) -> u64 {
        self.spliced
    }

    /// Whether the reader has said that it sends no more.
    pub(super) fn finished(&self) -> bool {
        self.state != State::Running
    }

    /// Whether the writer has been told so.
    pub(super) fn done(&self) -> bool {
        self.state == State::Done
    }

    /// Moves what can be moved now. Ready once the writer has been told of the end. In the `last`
    /// direction of a tunnel a socket is not: closing it says the same.
    pub(super) fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        last: bool,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        for _ in 0..ROUNDS {
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                _ if self.rest.is_some() => match self.poll_rest(cx, writer)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => {
                        take_in(reader, cx);
                        return Poll::Pending;
                    }
                },
                _ if self.bulk.holds() => ready!(self.poll_piped(cx, reader, writer))?,
                State::ShuttingDown if last && TypeId::of::<W>() == TypeId::of::<TcpStream>() => {
                    self.state = State::Done;
                }
                State::ShuttingDown => {
                    match ready!(Pin::new(&mut *writer).poll_shutdown(cx)) {
                        // It has finished before and is gone: nobody is left to be told.
                        Err(_) if last => {}
                        told => told.map_err(Broken::write)?,
                    }
                    self.state = State::Done;
                }
                State::Running => match self.poll_step(cx, reader, writer)? {
                    Poll::Ready(Step::Moved | Step::Piped) => {}
                    Poll::Ready(Step::Blocked(rest)) => self.rest = Some(Box::new(rest)),
                    Poll::Ready(Step::Finished) => self.state = State::ShuttingDown,
                    Poll::Pending => {
                        self.bulk.paused();
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
        while let Some(rest) = &mut self.rest {
            let written = ready!(poll_write(cx, writer, rest))?;
            rest.advance(written);
            if rest.is_empty() {
                self.rest = None;
            }
            self.wrote(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what stands in the pipe.
    fn poll_piped<R, W>(&mut self, cx: &mut Context<'_>, reader: &R, writer: &W) -> Poll<Result<(), Broken>>
    where
        R: 'static,
        W: 'static,
    {
        let Some((_, to)) = sockets(reader, writer) else { return Poll::Ready(Ok(())) };
        while self.bulk.holds() {
            match ready!(self.bulk.poll_empty(cx, to)).map_err(Broken::write)? {
                Emptied::Wrote(bytes) => {
                    self.total += bytes as u64;
                    self.spliced += bytes as u64;
                }
                Emptied::Evacuated(bytes) => self.rest = Some(Box::new(bytes.into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One piece, taken into a pipe if that is worth it, or read and written as far as the writer
    /// takes it.
    fn poll_step<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<Result<Step, Broken>>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        if self.bulk.wanted()
            && let Some((from, _)) = sockets(reader, writer)
        {
            match ready!(self.bulk.poll_fill(cx, from)).map_err(Broken::read)? {
                Some(0) => return Poll::Ready(Ok(Step::Finished)),
                Some(bytes) => {
                    self.bulk.read(bytes);
                    return Poll::Ready(Ok(Step::Piped));
                }
                // Not now: by way of the buffer.
                None => {}
            }
        }
        with_scratch(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(reader).poll_read(cx, &mut buf)).map_err(Broken::read)?;
            let mut bytes = buf.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(Step::Finished));
            }
            self.bulk.read(bytes.len());
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
