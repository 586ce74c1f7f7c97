//! One direction of a tunnel.

use std::{
    any::TypeId,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use super::{
    Close, RateLimit,
    known::take_in,
    lane::{Lane, Made},
    rate::Bucket,
    rest::Rest,
    scratch::with_scratch,
    splice::{Bulk, Emptied, LARGE, sockets},
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
    rest: Option<Box<Rest>>,
    /// Bytes that were read.
    read: u64,
    /// Those of them the writer has taken.
    total: u64,
    /// Bytes that went through a pipe.
    spliced: u64,
    bulk: Bulk,
    /// The writer took bytes since it was last flushed.
    unflushed: bool,
    /// Of a WebSocket: where its frames begin and end.
    lane: Option<Box<Lane>>,
    /// How fast it may be.
    gate: Option<Box<Bucket>>,
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

/// What has become of a direction.
pub(super) type Copied = Poll<Result<(), Broken>>;

/// What one read and the writes after it came to.
enum Step {
    Moved,
    /// It stands in a pipe.
    Piped,
    /// The writer did not take everything, or takes something else.
    Left(Option<Box<Rest>>),
    Finished,
}

impl Direction {
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        Self {
            state: State::Running,
            rest: None,
            read: 0,
            total: 0,
            spliced: 0,
            bulk: Bulk::default(),
            unflushed: false,
            lane: None,
            gate: limit.map(|limit| limit.bucket(Instant::now())),
        }
    }

    /// Follows frames from here on.
    pub(super) fn follow(&mut self, lane: Lane) {
        self.lane = Some(Box::new(lane));
    }

    /// Bytes to deliver first.
    pub(super) fn preload(&mut self, early: Bytes) {
        self.read += early.len() as u64;
        let made = self.lane.as_mut().and_then(|lane| lane.pass(&early));
        self.rest = made.map_or_else(|| Rest::theirs(early), Rest::of);
    }

    pub(super) fn lane(&self) -> Option<&Lane> {
        self.lane.as_deref()
    }

    pub(super) fn lane_mut(&mut self) -> Option<&mut Lane> {
        self.lane.as_deref_mut()
    }

    /// Follows no frames any more. False when it does not anyhow.
    pub(super) fn give_up_frames(&mut self) -> bool {
        let Some(held) = self.lane.as_mut().and_then(|lane| lane.give_up()) else { return false };
        match &mut self.rest {
            Some(rest) => rest.append(held.as_bytes()),
            rest => *rest = Rest::theirs(Bytes::copy_from_slice(held.as_bytes())),
        }
        true
    }

    /// When reading goes on, if it is the rate limit that it waits for.
    pub(super) fn gated_until(&self) -> Option<Instant> {
        self.gate.as_ref().and_then(|gate| gate.until())
    }

    /// Reads no more, as if the reader had finished.
    pub(super) fn cut_off(&mut self) {
        if self.state == State::Running {
            self.state = State::ShuttingDown;
        }
    }

    /// Writes no more. A WebSocket's reader is still listened to.
    pub(super) fn mute(&mut self) {
        self.rest = None;
        self.bulk.drop_pipe();
        match &mut self.lane {
            Some(lane) => lane.mute(),
            None => self.state = State::Done,
        }
    }

    /// Whether the writer has yet to take something that is there for it.
    pub(super) fn is_blocked(&self) -> bool {
        self.rest.is_some() || self.bulk.holds()
    }

    /// Whether the reader's side has ended: its connection, or with a Close what it has to say.
    pub(super) fn is_heard(&self) -> bool {
        self.finished() || self.has_closed()
    }

    /// Whether the reader's side of a WebSocket has sent a Close.
    pub(super) fn has_closed(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.heard_close().is_some())
    }

    /// Whether the writer knows of the end: all there is for it has been written, the last frame too.
    pub(super) fn is_told(&self) -> bool {
        let last_frame = self.lane.as_ref().is_some_and(|lane| lane.is_told() && !lane.has_given_up());
        self.done() || last_frame && !self.is_blocked() && !self.unflushed
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
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
    /// direction of a tunnel a socket is not: closing it says the same. The writer of a WebSocket whose
    /// other side ends without a Close gets the `obituary`, unless it has ended before.
    pub(super) fn poll_copy<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
        last: bool,
        obituary: Option<&Close>,
    ) -> Poll<Result<(), Broken>>
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
                    Poll::Ready(Step::Left(rest)) => self.rest = rest,
                    Poll::Ready(Step::Finished) => self.finish(obituary),
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

    /// Puts a frame of ours next, if one is due and this is the place.
    fn insert(&mut self) {
        if let Some(lane) = &mut self.lane
            && self.rest.is_none()
            && !self.bulk.holds()
            && self.state != State::Done
            && let Some(frame) = lane.take_due()
        {
            let bytes = frame.as_bytes().to_vec();
            let ours = 0..bytes.len();
            self.rest = Rest::of(Made { bytes, ours });
        }
    }

    /// Nothing more will be read.
    fn finish(&mut self, obituary: Option<&Close>) {
        self.state = State::ShuttingDown;
        if let Some(lane) = &mut self.lane {
            self.rest = Rest::theirs(lane.finish(obituary).into());
        }
    }

    /// Writes what is left of an earlier read.
    fn poll_rest<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<Result<(), Broken>>
    where
        W: AsyncWrite + Unpin,
    {
        while let Some(rest) = &mut self.rest {
            let written = ready!(poll_write(cx, writer, rest.as_bytes()))?;
            let theirs = rest.advance(written);
            if rest.as_bytes().is_empty() {
                self.rest = None;
            }
            self.wrote(theirs);
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
                Emptied::Evacuated(bytes) => self.rest = Rest::theirs(bytes.into()),
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
        if let Some(error) = self.lane.as_mut().and_then(|lane| lane.take_error()) {
            return Poll::Ready(Err(Broken::read(error)));
        }
        let is_deaf = self.lane.as_ref().is_some_and(|lane| lane.is_deaf());
        let allowed = match &mut self.gate {
            // What goes nowhere may come as it likes.
            Some(_) if is_deaf => u64::MAX,
            None => u64::MAX,
            Some(gate) => match gate.open(Instant::now()) {
                0 => return Poll::Pending,
                bytes => bytes,
            },
        };
        if self.bulk.wanted()
            && allowed >= LARGE as u64
            && let Some((from, _)) = sockets(reader, writer)
            && let Some(step) = ready!(self.poll_splice(cx, from, allowed))?
        {
            return Poll::Ready(Ok(step));
        }
        with_scratch(|scratch| {
            let most = usize::try_from(allowed).map_or(scratch.len(), |allowed| allowed.min(scratch.len()));
            let mut buf = ReadBuf::new(&mut scratch[..most]);
            ready!(Pin::new(reader).poll_read(cx, &mut buf)).map_err(Broken::read)?;
            let mut bytes = buf.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(Step::Finished));
            }
            self.count(bytes.len());
            if let Some(lane) = &mut self.lane
                && let Some(made) = lane.pass(bytes)
            {
                return Poll::Ready(Ok(Step::Left(Rest::of(made))));
            }
            while !bytes.is_empty() {
                match poll_write(cx, writer, bytes)? {
                    Poll::Ready(written) => {
                        self.wrote(written);
                        bytes = &bytes[written..];
                    }
                    Poll::Pending => {
                        let rest = Rest::theirs(Bytes::copy_from_slice(bytes));
                        return Poll::Ready(Ok(Step::Left(rest)));
                    }
                }
            }
            Poll::Ready(Ok(Step::Moved))
        })
    }

    /// One piece into a pipe. `None` when it is to go by way of the buffer.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        allowed: u64,
    ) -> Poll<Result<Option<Step>, Broken>> {
        let Some(lane) = &mut self.lane else {
            let filled = ready!(self.bulk.poll_fill(cx, from, allowed)).map_err(Broken::read)?;
            return Poll::Ready(Ok(filled.map(|bytes| self.piped(bytes))));
        };
        let mut unseen = ready!(lane.poll_unseen(cx, from)).map_err(Broken::read)?;
        let filled = ready!(self.bulk.poll_fill(cx, from, unseen.bytes.min(allowed)));
        let Some(mut bytes) = filled.map_err(Broken::read)? else { return Poll::Ready(Ok(None)) };
        let mut step = self.piped(bytes);
        while let Some(lane) = &mut self.lane
            && bytes > 0
        {
            if !lane.skip(bytes, &unseen) {
                // It ends within a header.
                let piped = self.bulk.take_back().map_err(Broken::read)?;
                step = Step::Left(Rest::of(lane.look_back(piped, bytes)));
                break;
            }
            // The next frame as well, if it is there.
            if bytes as u64 != unseen.bytes || allowed < u64::MAX || !lane.look_ahead(cx, from, &mut unseen) {
                break;
            }
            bytes = self.bulk.fill_up(from, unseen.bytes);
            self.count(bytes);
        }
        Poll::Ready(Ok(Some(step)))
    }

    fn piped(&mut self, bytes: usize) -> Step {
        self.count(bytes);
        if bytes == 0 { Step::Finished } else { Step::Piped }
    }

    fn count(&mut self, read: usize) {
        self.read += read as u64;
        self.bulk.read(read);
        if let Some(gate) = &mut self.gate {
            gate.take(read as u64);
        }
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
