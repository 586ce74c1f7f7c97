//! What a direction is asked, and told, between polls.

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    super::{frame_relay::FrameRelay, pending::Pending},
    Direction, State,
};

impl Direction {
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

    /// When reading goes on, if it is the rate limit that it waits for.
    pub(in super::super) fn rate_limited_until(&self) -> Option<Instant> {
        self.gate.as_ref().and_then(|gate| gate.until())
    }

    /// Reads no more, as if the reader had finished.
    pub(in super::super) fn stop_reading(&mut self) {
        if self.state == State::Running {
            self.state = State::ShuttingDown;
        }
    }

    /// Writes no more. A WebSocket's reader is still listened to.
    pub(in super::super) fn stop_writing(&mut self) {
        self.pending = None;
        self.splice.discard();
        match &mut self.frame_relay {
            Some(relay) => relay.stop_writing(),
            None => self.state = State::Done,
        }
    }

    /// Whether the writer has yet to take something that is there for it.
    pub(in super::super) fn is_blocked(&self) -> bool {
        self.pending.is_some() || self.splice.holds_bytes()
    }

    /// Whether the reader's side has ended: its connection, or with a Close what it has to say.
    pub(in super::super) fn is_ended(&self) -> bool {
        self.finished() || self.has_closed()
    }

    /// Whether the reader's side of a WebSocket has sent a Close.
    pub(in super::super) fn has_closed(&self) -> bool {
        self.frame_relay.as_ref().is_some_and(|relay| relay.close_code().is_some())
    }

    /// Whether the writer knows of the end: all there is for it has been written, the last frame too.
    pub(in super::super) fn is_flushed(&self) -> bool {
        let last_frame = self.frame_relay.as_ref().is_some_and(|relay| relay.is_flushed());
        self.done() || last_frame && !self.is_blocked() && !self.unflushed
    }

    /// Bytes read so far.
    pub(in super::super) fn read(&self) -> u64 {
        self.read
    }

    /// Bytes written so far.
    pub(in super::super) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that were spliced, of those written.
    pub(in super::super) fn spliced(&self) -> u64 {
        self.spliced
    }

    pub(in super::super) fn state(&self) -> State {
        self.state
    }

    /// Whether the reader has said that it sends no more.
    pub(in super::super) fn finished(&self) -> bool {
        self.state != State::Running
    }

    /// Whether the writer has been told so.
    pub(in super::super) fn done(&self) -> bool {
        self.state == State::Done
    }
}
