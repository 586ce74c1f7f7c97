//! One direction of a tunnel: the copy of bytes from a reader to a writer.
//!
//! | [`Phase`] | event | next |
//! | --- | --- | --- |
//! | `Running` | the reader has finished, or the lifecycle [stops it](Direction::stop_reading) | `ShuttingDown` |
//! | `ShuttingDown` | pending bytes are written, and the writer is shut down | `Done` |
//! | any, without frames | the lifecycle [stops the writer](Direction::stop_writing) | `Done` |
//!
//! A poll consists of rounds. A round writes pending bytes, or moves bytes out of the pipe, or else reads
//! ([`read`]) or shuts the writer down ([`write`](mod@write)). A direction with pending bytes reads nothing: that is the
//! backpressure. When the reader is empty the writer is flushed.
//!
//! A read goes to the scratch buffer, and is written from there. Only bytes that the writer does not accept at
//! once are stored in the direction, until they are written.

mod error;
mod read;
#[cfg(target_os = "linux")]
mod spliced;
mod status;
mod write;

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    RateLimit,
    frame_relay::{FrameRelay, Rewritten},
    pending::Pending,
    rate::TokenBucket,
    splice::Splice,
};
use crate::io::any_io::as_any_io;
pub(super) use error::{CopyError, PollCopy};
pub(super) use status::Status;

/// Rounds per poll, after which the task yields.
const ROUNDS: usize = 16;

/// State of a direction.
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

/// Phase of a direction. The [module documentation](self) has the state table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Bytes are read and written.
    Running,
    /// The reader has finished. Pending bytes are written, then the writer is shut down.
    ShuttingDown,
    /// The writer is shut down.
    Done,
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

    /// Moves bytes until the reader or the writer is not ready. Ready once the writer is shut down. `other` is the
    /// phase of the other direction.
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
                let Poll::Ready(read) = self.poll_read(cx, reader, writer)? else {
                    self.splice.on_reader_empty();
                    ready!(self.poll_flush(cx, writer))?;
                    return Poll::Pending;
                };
                if read == 0 {
                    self.finish(other == Phase::Running);
                }
                Poll::Ready(Ok(()))
            }
        }
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

    fn count_read(&mut self, bytes: usize) {
        self.read += bytes as u64;
        self.splice.on_read(bytes);
        if let Some(rate) = &mut self.rate {
            rate.take(bytes as u64);
        }
    }

    fn count_written(&mut self, bytes: usize) {
        self.written += bytes as u64;
        self.is_unflushed = true;
    }
}
