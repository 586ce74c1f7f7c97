//! One direction of a tunnel.

mod error;
#[cfg(target_os = "linux")]
mod spliced;
mod status;

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
    rate::TokenBucket,
    scratch::with_scratch,
    splice::Splice,
};

#[cfg(target_os = "linux")]
use super::splice::{LARGE, sockets};
use crate::io::any_io::as_any_io;
use error::poll_write;
pub(super) use error::{CopyError, PollCopy};
pub(super) use status::Status;

/// Rounds per poll, after which the task yields.
const ROUNDS: usize = 16;

/// The copy of bytes from a reader to a writer.
///
/// A read goes to the thread's scratch buffer, and is written from there. Only bytes that the writer does
/// not accept at once are moved to memory of the direction, which is freed as soon as they are written.
#[derive(Debug)]
pub(super) struct Direction {
    phase: Phase,
    /// Bytes that were read and wait for the writer. Meanwhile nothing is read. In a box, as most tunnels
    /// have none most of the time.
    pending: Option<Box<Pending>>,
    read: u64,
    written: u64,
    spliced: u64,
    splice: Splice,
    /// Bytes were written since the last flush.
    is_unflushed: bool,
    /// The frames of a WebSocket.
    frame_relay: Option<Box<FrameRelay>>,
    /// The rate limit.
    rate: Option<Box<TokenBucket>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Bytes are read and written.
    Running,
    /// The reader has finished. Pending bytes are written, then the writer is shut down.
    ShuttingDown,
    /// The writer is shut down.
    Done,
}

/// Outcome of a read and the writes after it.
enum Step {
    /// Everything was written, or is in the pipe.
    Moved,
    /// These bytes are to be written.
    Left(Option<Box<Pending>>),
    /// The reader has finished.
    Finished,
}

impl Direction {
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        Self {
            phase: Phase::Running,
            pending: None,
            read: 0,
            written: 0,
            spliced: 0,
            splice: Splice::default(),
            is_unflushed: false,
            frame_relay: None,
            rate: limit.map(|limit| limit.bucket(Instant::now())),
        }
    }

    /// Starts to follow frames.
    pub(super) fn follow(&mut self, relay: FrameRelay) {
        self.frame_relay = Some(Box::new(relay));
    }

    /// Queues bytes to be delivered first.
    pub(super) fn preload(&mut self, early: Bytes) {
        self.read += early.len() as u64;
        let rewritten = self.frame_relay.as_mut().and_then(|relay| relay.relay(&early));
        self.pending = rewritten.map_or_else(|| Pending::relayed(early), Pending::rewritten);
    }

    /// Moves bytes until the reader or the writer is not ready. Ready once the writer is shut down.
    ///
    /// If the `other` direction is done, a socket is not shut down, as its close has the same effect. If the
    /// reader's side of a WebSocket ends first and without a Close, one is written as the close policy demands.
    pub(super) fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        other: Phase,
    ) -> PollCopy
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        if let Some(rate) = &mut self.rate {
            rate.clear_wait();
        }
        for _ in 0..ROUNDS {
            self.inject();
            if self.phase == Phase::Done {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_round(cx, reader, writer, other))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_round<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        other: Phase,
    ) -> PollCopy
    where
        R: AsyncRead + Unpin + 'static,
        W: AsyncWrite + Unpin + 'static,
    {
        if self.pending.is_some() {
            let written = self.poll_pending(cx, writer);
            if written.is_pending()
                && let Some(reader) = as_any_io(reader)
            {
                reader.buffer_incoming(cx);
            }
            return written;
        }
        #[cfg(target_os = "linux")]
        if self.splice.holds_bytes() {
            return self.poll_piped(cx, reader, writer);
        }
        match self.phase {
            Phase::Done => Poll::Ready(Ok(())),
            Phase::ShuttingDown => self.poll_shutdown(cx, writer, other),
            Phase::Running => {
                match self.poll_step(cx, reader, writer)? {
                    Poll::Ready(Step::Moved) => {}
                    Poll::Ready(Step::Left(pending)) => self.pending = pending,
                    Poll::Ready(Step::Finished) => self.finish(other == Phase::Running),
                    Poll::Pending => {
                        self.splice.on_empty();
                        ready!(self.poll_flush(cx, writer))?;
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_shutdown<W>(&mut self, cx: &mut Context<'_>, writer: &mut W, other: Phase) -> PollCopy
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

    fn poll_flush<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> PollCopy
    where
        W: AsyncWrite + Unpin,
    {
        if self.is_unflushed {
            ready!(Pin::new(writer).poll_flush(cx)).map_err(CopyError::write)?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Queues a frame of the proxy, if there is one and it can be written here.
    fn inject(&mut self) {
        if let Some(relay) = &mut self.frame_relay
            && self.pending.is_none()
            && !self.splice.holds_bytes()
            && self.phase != Phase::Done
            && let Some(frame) = relay.take_injected()
        {
            let bytes = frame.as_bytes().to_vec();
            let injected = 0..bytes.len();
            self.pending = Pending::rewritten(Rewritten { bytes, injected });
        }
    }

    /// Records the end of the reader.
    fn finish(&mut self, other_is_open: bool) {
        self.phase = Phase::ShuttingDown;
        if let Some(relay) = &mut self.frame_relay {
            self.pending = Pending::relayed(relay.finish(other_is_open).into());
        }
    }

    /// Writes pending bytes.
    fn poll_pending<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> PollCopy
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

    /// Moves bytes through a pipe if that is worth it, or else through the scratch buffer.
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
        let allowed = match &mut self.rate {
            Some(rate) if !self.frame_relay.as_ref().is_some_and(|relay| relay.discards()) => {
                rate.available(Instant::now())
            }
            // No limit for bytes that are discarded.
            _ => u64::MAX,
        };
        if allowed == 0 {
            return Poll::Pending;
        }
        #[cfg(target_os = "linux")]
        if self.splice.is_wanted()
            && allowed >= LARGE as u64
            && let Some((from, _)) = sockets(reader, writer)
            && let Some(step) = ready!(self.poll_splice(cx, from, allowed))?
        {
            return Poll::Ready(Ok(step));
        }
        self.poll_scratch(cx, reader, writer, allowed)
    }

    /// Reads into the scratch buffer, and writes as much as the writer accepts.
    fn poll_scratch<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        allowed: u64,
    ) -> Poll<Result<Step, CopyError>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        with_scratch(|scratch| {
            let limit = usize::try_from(allowed).map_or(scratch.len(), |allowed| allowed.min(scratch.len()));
            let mut buf = ReadBuf::new(&mut scratch[..limit]);
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
        if let Some(rate) = &mut self.rate {
            rate.take(read as u64);
        }
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.is_unflushed = true;
    }
}
