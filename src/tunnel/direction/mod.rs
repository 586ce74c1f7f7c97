//! One direction of a tunnel.

mod error;
#[cfg(target_os = "linux")]
mod spliced;
mod state;

use std::{
    any::TypeId,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::{
    RateLimit,
    frame_relay::{FrameRelay, Rewritten},
    pending::Pending,
    rate::Bucket,
    scratch::with_scratch,
    splice::Splice,
};

#[cfg(target_os = "linux")]
use super::splice::{LARGE, sockets};
use crate::io::any_io::as_any_io;
use error::poll_write;
pub(super) use error::{CopyError, PollCopy};

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
    pending: Option<Box<Pending>>,
    /// Bytes that were read.
    read: u64,
    /// Those of them the writer has taken.
    total: u64,
    /// Bytes that went through a pipe.
    spliced: u64,
    splice: Splice,
    /// The writer took bytes since it was last flushed.
    unflushed: bool,
    /// Of a WebSocket: where its frames begin and end.
    frame_relay: Option<Box<FrameRelay>>,
    /// How fast it may be.
    gate: Option<Box<Bucket>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Running,
    /// The reader has finished; what is left is written, then the writer is told.
    ShuttingDown,
    Done,
}

/// What one read and the writes after it came to.
enum Step {
    Moved,
    /// The writer did not take everything, or takes something else.
    Left(Option<Box<Pending>>),
    Finished,
}

impl Direction {
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        Self {
            state: State::Running,
            pending: None,
            read: 0,
            total: 0,
            spliced: 0,
            splice: Splice::default(),
            unflushed: false,
            frame_relay: None,
            gate: limit.map(|limit| limit.bucket(Instant::now())),
        }
    }

    /// Follows frames from here on.
    pub(super) fn follow(&mut self, relay: FrameRelay) {
        self.frame_relay = Some(Box::new(relay));
    }

    /// Bytes to deliver first.
    pub(super) fn preload(&mut self, early: Bytes) {
        self.read += early.len() as u64;
        let rewritten = self.frame_relay.as_mut().and_then(|relay| relay.relay(&early));
        self.pending = rewritten.map_or_else(|| Pending::relayed(early), Pending::rewritten);
    }

    /// Moves what can be moved now. Ready once the writer has been told of the end. When the `other`
    /// direction is done, a socket is not: closing it says the same. The writer of a WebSocket whose
    /// other side ends without a Close is told so, unless it has ended before.
    pub(super) fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        other: State,
    ) -> PollCopy
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        if let Some(gate) = &mut self.gate {
            gate.forget();
        }
        for _ in 0..ROUNDS {
            self.insert();
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                _ if self.pending.is_some() => match self.poll_pending(cx, writer)? {
                    Poll::Ready(()) => {}
                    Poll::Pending => {
                        if let Some(reader) = as_any_io(reader) {
                            reader.buffer_incoming(cx);
                        }
                        return Poll::Pending;
                    }
                },
                #[cfg(target_os = "linux")]
                _ if self.splice.holds_bytes() => ready!(self.poll_piped(cx, reader, writer))?,
                State::ShuttingDown
                    if other == State::Done && TypeId::of::<W>() == TypeId::of::<TcpStream>() =>
                {
                    self.state = State::Done;
                }
                State::ShuttingDown => {
                    match ready!(Pin::new(&mut *writer).poll_shutdown(cx)) {
                        // It has finished before and is gone: nobody is left to be told.
                        Err(_) if other == State::Done => {}
                        told => told.map_err(CopyError::write)?,
                    }
                    self.state = State::Done;
                }
                State::Running => match self.poll_step(cx, reader, writer)? {
                    Poll::Ready(Step::Moved) => {}
                    Poll::Ready(Step::Left(pending)) => self.pending = pending,
                    Poll::Ready(Step::Finished) => self.finish(other == State::Running),
                    Poll::Pending => {
                        self.splice.on_empty();
                        if self.unflushed {
                            ready!(Pin::new(&mut *writer).poll_flush(cx)).map_err(CopyError::write)?;
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

    /// Puts a frame of ours next, if one is due and this is the place.
    fn insert(&mut self) {
        if let Some(relay) = &mut self.frame_relay
            && self.pending.is_none()
            && !self.splice.holds_bytes()
            && self.state != State::Done
            && let Some(frame) = relay.take_injected()
        {
            let bytes = frame.as_bytes().to_vec();
            let injected = 0..bytes.len();
            self.pending = Pending::rewritten(Rewritten { bytes, injected });
        }
    }

    /// Nothing more will be read.
    fn finish(&mut self, other_is_open: bool) {
        self.state = State::ShuttingDown;
        if let Some(relay) = &mut self.frame_relay {
            self.pending = Pending::relayed(relay.finish(other_is_open).into());
        }
    }

    /// Writes what is left of an earlier read.
    fn poll_pending<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<Result<(), CopyError>>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(pending) = &mut self.pending {
            let written = ready!(poll_write(cx, writer, pending.as_bytes()))?;
            let relayed = pending.advance(written);
            if pending.as_bytes().is_empty() {
                self.pending = None;
            }
            self.wrote(relayed);
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
    ) -> Poll<Result<Step, CopyError>>
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        if let Some(error) = self.frame_relay.as_mut().and_then(|relay| relay.take_read_error()) {
            return Poll::Ready(Err(CopyError::read(error)));
        }
        let discards = self.frame_relay.as_ref().is_some_and(|relay| relay.discards());
        let allowed = match &mut self.gate {
            // What goes nowhere may come as it likes.
            Some(_) if discards => u64::MAX,
            None => u64::MAX,
            Some(gate) => match gate.open(Instant::now()) {
                0 => return Poll::Pending,
                bytes => bytes,
            },
        };
        #[cfg(target_os = "linux")]
        if self.splice.is_wanted()
            && allowed >= LARGE as u64
            && let Some((from, _)) = sockets(reader, writer)
            && let Some(step) = ready!(self.poll_splice(cx, from, allowed))?
        {
            return Poll::Ready(Ok(step));
        }
        with_scratch(|scratch| {
            let most = usize::try_from(allowed).map_or(scratch.len(), |allowed| allowed.min(scratch.len()));
            let mut buf = ReadBuf::new(&mut scratch[..most]);
            ready!(Pin::new(reader).poll_read(cx, &mut buf)).map_err(CopyError::read)?;
            let mut bytes = buf.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(Step::Finished));
            }
            self.count(bytes.len());
            if let Some(relay) = &mut self.frame_relay
                && let Some(rewritten) = relay.relay(bytes)
            {
                return Poll::Ready(Ok(Step::Left(Pending::rewritten(rewritten))));
            }
            while !bytes.is_empty() {
                match poll_write(cx, writer, bytes)? {
                    Poll::Ready(written) => {
                        self.wrote(written);
                        bytes = &bytes[written..];
                    }
                    Poll::Pending => {
                        let pending = Pending::relayed(Bytes::copy_from_slice(bytes));
                        return Poll::Ready(Ok(Step::Left(pending)));
                    }
                }
            }
            Poll::Ready(Ok(Step::Moved))
        })
    }

    fn count(&mut self, read: usize) {
        self.read += read as u64;
        self.splice.on_read(read);
        if let Some(gate) = &mut self.gate {
            gate.take(read as u64);
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.total += bytes as u64;
        self.unflushed = true;
    }
}
