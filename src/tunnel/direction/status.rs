//! [`Status`] of a direction, and its control between polls.

use std::task::Poll;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    super::{
        frame_relay::{FrameError, FrameRelay},
        pending::Pending,
    },
    CopyError, Direction, Phase, PollCopy,
};

/// Snapshot of a direction after a poll.
#[derive(Clone, Debug)]
pub(in super::super) struct Status {
    pub(in super::super) phase: Phase,
    /// The error of the poll.
    pub(in super::super) error: Option<CopyError>,
    /// The reader's side has sent a Close.
    pub(in super::super) is_closed: bool,
    /// The reason why a frame was rejected.
    pub(in super::super) frame_error: Option<FrameError>,
    /// Bytes wait for the writer.
    pub(in super::super) is_blocked: bool,
    /// Everything for the writer is written and flushed, its Close or its end included.
    pub(in super::super) is_flushed: bool,
    /// No message of the reader's side is relayed at the moment.
    pub(in super::super) is_between_messages: bool,
    /// The time from which the rate limit permits a read.
    pub(in super::super) resumes_at: Option<Instant>,
}

impl Status {
    /// Returns true if nothing more is read.
    pub(in super::super) fn has_finished(&self) -> bool {
        self.phase != Phase::Running
    }

    /// Returns true if the reader's side has ended: its connection, or the WebSocket by a Close.
    pub(in super::super) fn is_ended(&self) -> bool {
        self.has_finished() || self.is_closed
    }
}

impl Direction {
    /// Returns the status after a poll with this result.
    pub(in super::super) fn status(&self, polled: PollCopy) -> Status {
        let relay = self.frame_relay();
        let is_blocked = self.is_blocked();
        Status {
            phase: self.phase,
            error: match polled {
                Poll::Ready(result) => result.err(),
                Poll::Pending => None,
            },
            is_closed: relay.is_some_and(|relay| relay.close_code().is_some()),
            frame_error: relay.and_then(FrameRelay::frame_error),
            is_blocked,
            is_flushed: self.phase == Phase::Done
                || !is_blocked && !self.is_unflushed && relay.is_some_and(FrameRelay::is_flushed),
            is_between_messages: relay.is_none_or(FrameRelay::is_between_messages),
            resumes_at: self.rate.as_ref().and_then(|rate| rate.resumes_at()),
        }
    }

    pub(in super::super) fn frame_relay(&self) -> Option<&FrameRelay> {
        self.frame_relay.as_deref()
    }

    pub(in super::super) fn frame_relay_mut(&mut self) -> Option<&mut FrameRelay> {
        self.frame_relay.as_deref_mut()
    }

    /// Stops processing frames and writes withheld bytes.
    pub(in super::super) fn pass_through(&mut self) {
        let Some(relay) = &mut self.frame_relay else { return };
        let withheld = relay.pass_through();
        match &mut self.pending {
            Some(pending) => pending.append(withheld.as_bytes()),
            pending => *pending = Pending::relayed(Bytes::copy_from_slice(withheld.as_bytes())),
        }
    }

    /// Stops reading, as if the reader had finished.
    pub(in super::super) fn stop_reading(&mut self) {
        if self.phase == Phase::Running {
            self.phase = Phase::ShuttingDown;
        }
    }

    /// Stops writing. Frames of a WebSocket are still read and inspected.
    pub(in super::super) fn stop_writing(&mut self) {
        self.pending = None;
        self.splice.discard();
        match &mut self.frame_relay {
            Some(relay) => relay.stop_writing(),
            None => self.phase = Phase::Done,
        }
    }

    /// Returns true if bytes wait for the writer.
    pub(in super::super) fn is_blocked(&self) -> bool {
        self.pending.is_some() || self.splice.holds_bytes()
    }

    /// Bytes read so far.
    pub(in super::super) fn read(&self) -> u64 {
        self.read
    }

    /// Relayed bytes written so far.
    pub(in super::super) fn written(&self) -> u64 {
        self.written
    }

    /// The spliced part of the bytes written.
    pub(in super::super) fn spliced(&self) -> u64 {
        self.spliced
    }

    pub(in super::super) fn phase(&self) -> Phase {
        self.phase
    }
}
