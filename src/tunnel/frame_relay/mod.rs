//! WebSocket frames in one direction of a tunnel.
//!
//! A [`FrameRelay`] processes the bytes between the reader and the writer of a direction:
//!
//! 1. [`frames`](super::frames) finds the frames in each chunk that was read.
//! 2. [`inspector`] examines every frame. It records the Close code and the Pings of the reader's side, drops
//!    the Pongs to Pings of the proxy, and rejects a frame above a limit or, with strict framing, an invalid
//!    one.
//! 3. [`inject`] adds a frame of the proxy, Ping or Close, at the next frame boundary.
//! 4. [`spliceable`] lets the payload of large frames pass through the kernel.
//!
//! A chunk without anything to drop or to inject is written as it was read.
//!
//! # Modes
//!
//! | [`Mode`] | bytes that are read | written to the writer | may be injected |
//! | --- | --- | --- | --- |
//! | `Relay` | parsed and inspected | all but the Pongs to Pings of the proxy | Ping, Close |
//! | `PassThrough` | not parsed | everything | nothing |
//! | `Rejected` | parsed and inspected | nothing; the writer is at a boundary | Close |
//! | `Closed` | parsed and inspected | nothing | nothing |
//!
//! | event | from | to |
//! | --- | --- | --- |
//! | invalid framing is relayed, because framing is not strict | `Relay` | `PassThrough` |
//! | the other direction is in `PassThrough` ([`pass_through`](FrameRelay::pass_through)) | `Relay` | `PassThrough` |
//! | the inspector rejects a frame | `Relay` | `Rejected` |
//! | the inspector rejects a Close of which a part has been written already | `Relay` | `Closed` |
//! | the reader ends within a frame ([`finish`](FrameRelay::finish)) | `Relay` | `Closed` |
//! | a notice of the proxy is next to be written | `Relay`, `Rejected` | `Closed` |
//! | the reader's side answers a Close of the proxy | `Relay` | `Closed` |
//! | the writer has failed or is done ([`stop_writing`](FrameRelay::stop_writing)) | any | `Closed` |
//!
//! A Close of the reader's side is no transition: it is relayed like any frame, but nothing is injected after
//! it. A control frame with more than 8 bytes of payload is not withheld: when it is rejected after a part of it
//! has been written, it passes as the last frame.
//!
//! A Close with which the reader's side answers a Close of the proxy is not relayed: the stream ends there, with the
//! notice that is injected, if any.

mod inject;
mod inspector;
#[cfg(target_os = "linux")]
mod spliceable;
#[cfg(test)]
mod tests;

use std::{io, ops::Range, sync::Arc};

use super::{
    Framing, Side, TunnelConfig, TunnelEnd,
    close_policy::Notice,
    frames::{Boundary, Filter, Filtered, Frame, FrameParser, PartialFrame, ProtocolError},
    summary::Told,
};
use inject::Injected;
pub(super) use inject::Pinged;
use inspector::Inspector;
pub(super) use inspector::{FrameError, Tag};

/// Relays frames from one side to the other and injects frames of the proxy.
#[derive(Debug)]
pub(super) struct FrameRelay {
    /// The reader's side.
    from: Side,
    config: Arc<TunnelConfig>,
    filter: Filter,
    inspector: Inspector,
    mode: Mode,
    /// Frame to be written at the next boundary.
    injected: Option<Box<Injected>>,
    /// What the writer's side was told, once that is certain.
    told: Option<Told>,
    /// Read error that occurred while earlier bytes were in a pipe.
    read_error: Option<io::Error>,
}

/// Processing mode. The [module documentation](self) has the state table.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// Frames are relayed, and frames of the proxy are injected.
    Relay,
    /// Bytes are relayed without being parsed, because one of the directions has invalid framing.
    PassThrough,
    /// A frame was rejected. The writer is at a boundary, usually the one before that frame.
    Rejected,
    /// Nothing more is written.
    Closed,
}

/// Bytes to be written in the place of those that were read.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) bytes: Vec<u8>,
    /// The part that was injected.
    pub(super) injected: Range<usize>,
}

impl FrameRelay {
    /// A relay at the beginning of the stream of `from`.
    pub(super) fn new(from: Side, config: Arc<TunnelConfig>) -> Self {
        Self {
            from,
            filter: if may_drop(from, &config) { Filter::new() } else { Filter::passive() },
            config,
            inspector: Inspector::default(),
            mode: Mode::Relay,
            injected: None,
            told: None,
            read_error: None,
        }
    }

    /// Processes a chunk that was read. `None` when it is to be written as it is.
    #[inline]
    pub(super) fn relay(&mut self, chunk: &[u8]) -> Option<Rewritten> {
        if self.passes_through() {
            return None;
        }
        let before = self.injected.as_ref().map(|_| self.filter.output());
        let discards = self.discards();
        let output = self.filter(chunk);
        let whole =
            output.dropped.is_none() && output.withheld.is_empty() && output.bytes.len() == chunk.len();
        let unchanged = whole && before.is_none() && !discards && self.inspector.error.is_none();
        let rewritten = if unchanged { None } else { Some(self.rewrite(before, output)) };
        if self.filter.protocol_error().is_some() {
            // Nothing is withheld: the bytes that made the frame invalid have been relayed with it.
            self.pass_through();
        }
        rewritten
    }

    #[inline]
    fn filter<'a>(&mut self, chunk: &'a [u8]) -> Filtered<'a> {
        let Self { filter, inspector, from, config, .. } = self;
        filter.filter(chunk, |event| inspector.inspect(event, *from, config))
    }

    /// Collects what remains of a chunk without the dropped frames, and inserts the notice of the proxy, if there
    /// is one. `before` is the position of the writer before the chunk.
    #[cold]
    fn rewrite(&mut self, before: Option<FrameParser>, mut output: Filtered<'_>) -> Rewritten {
        let mut bytes = Vec::new();
        loop {
            if !self.discards() {
                bytes.extend_from_slice(output.withheld.as_bytes());
                bytes.extend_from_slice(output.bytes);
            }
            let Some(dropped) = output.dropped else { break };
            if matches!(dropped.frame, Frame::Close(_))
                && self.mode == Mode::Relay
                && self.inspector.error.is_none()
            {
                return self.end_at_answer(before, bytes);
            }
            if self.inspector.error.is_some() && self.mode == Mode::Relay {
                self.mode = Mode::Rejected;
            }
            output = self.filter(output.rest);
        }
        if self.inspector.error.is_some() && self.mode == Mode::Relay {
            // A long control frame was rejected after a part of it had been written.
            let at_boundary = self.filter.output().at_boundary(Boundary::Frame);
            self.mode = if at_boundary { Mode::Rejected } else { Mode::Closed };
        }
        self.insert_notice(before, bytes)
    }

    /// Ends the stream for the writer where the reader's side has answered a Close of the proxy, with the notice that is
    /// injected, if any.
    fn end_at_answer(&mut self, before: Option<FrameParser>, bytes: Vec<u8>) -> Rewritten {
        if let Some(injected) = &mut self.injected {
            injected.hasten();
        }
        let rewritten = self.insert_notice(before, bytes);
        self.told.get_or_insert(Told::EndOfStream);
        self.stop_writing();
        rewritten
    }

    /// Drops the next Close of the reader's side, as an answer to a Close of the proxy.
    pub(super) fn expect_answer(&mut self) {
        self.inspector.drops_close = true;
    }

    /// Returns true if the writer's side was sent a Close of the proxy.
    pub(super) fn has_sent_close(&self) -> bool {
        matches!(self.told, Some(Told::Close(_)))
    }

    /// Drops the Pongs of the reader's side with this payload from now on.
    pub(super) fn drop_pongs(&mut self, tag: Tag) {
        self.inspector.tag = Some(tag);
    }

    /// Processes the end of the reader. Returns the withheld bytes, which are to be written.
    ///
    /// If the reader's side has sent no Close and the other side has not ended, the other side is notified as the
    /// [`ClosePolicy`](super::ClosePolicy) demands.
    pub(super) fn finish(&mut self, other_is_open: bool) -> Vec<u8> {
        if self.mode != Mode::Relay {
            return Vec::new();
        }
        let withheld = self.filter.withheld();
        if !withheld.is_empty() || !self.at_boundary(Boundary::Frame) {
            self.stop_writing();
        } else if let Some(injected) = self.injected.as_mut().filter(|injected| injected.is_notice()) {
            injected.hasten();
        } else if other_is_open {
            let ended = TunnelEnd::Closed { first: self.from };
            if let Some(notice @ Notice::Close(_)) =
                self.config.close_policy.notice(&ended, None, self.from.other())
            {
                self.inject_notice(&notice, Boundary::Frame);
            }
        }
        withheld.as_bytes().to_vec()
    }

    /// Stops parsing and injecting, because one of the directions has invalid framing. Returns the withheld
    /// bytes, which are to be written.
    pub(super) fn pass_through(&mut self) -> PartialFrame {
        if self.mode != Mode::Relay {
            return PartialFrame::default();
        }
        self.mode = Mode::PassThrough;
        self.injected = None;
        self.filter.withheld()
    }

    /// Discards everything that is read from now on. It is still inspected.
    pub(super) fn stop_writing(&mut self) {
        self.told = self.told();
        self.injected = None;
        self.mode = Mode::Closed;
    }

    /// What the writer's side is told if its connection ends now. `None` if frames are not followed.
    pub(super) fn told(&self) -> Option<Told> {
        self.told.or_else(|| match (self.mode, self.inspector.close_code) {
            (Mode::PassThrough, _) => None,
            (Mode::Relay, Some(code)) => Some(Told::RelayedClose(code)),
            (Mode::Relay, None) if !self.filter.output().at_boundary(Boundary::Message) => {
                Some(Told::Aborted)
            }
            _ => Some(Told::EndOfStream),
        })
    }

    /// Returns true unless a message of the reader's side is relayed at the moment.
    pub(super) fn is_between_messages(&self) -> bool {
        self.mode != Mode::Relay || self.inspector.close_code.is_some() || self.filter.is_between_messages()
    }

    /// Returns true if bytes are relayed without being parsed.
    pub(super) fn passes_through(&self) -> bool {
        self.mode == Mode::PassThrough
    }

    /// Returns true if everything that is read is discarded.
    pub(super) fn discards(&self) -> bool {
        matches!(self.mode, Mode::Rejected | Mode::Closed)
    }

    /// Returns true if every injected frame has been taken. False in `PassThrough`, where the writer's side is
    /// notified by the end of its connection only.
    pub(super) fn is_flushed(&self) -> bool {
        self.injected.is_none() && !self.passes_through()
    }

    /// Code in the Close of the reader's side: [`NO_STATUS`](super::CloseCode::NO_STATUS) for a Close without
    /// a code, `None` without a Close.
    pub(super) fn close_code(&self) -> Option<u16> {
        self.inspector.close_code
    }

    /// Error for which a frame of the reader's side was rejected.
    pub(super) fn frame_error(&self) -> Option<FrameError> {
        self.inspector.error
    }

    /// Description of the invalid framing that was relayed.
    pub(super) fn invalid_framing(&self) -> Option<&'static str> {
        self.filter.protocol_error().filter(|_| self.inspector.error.is_none()).map(ProtocolError::reason)
    }

    /// Returns true if a Ping of the reader's side has passed since the last call.
    pub(super) fn take_pinged(&mut self) -> bool {
        std::mem::take(&mut self.inspector.pinged)
    }

    /// Number of complete messages of the reader's side.
    pub(super) fn messages(&self) -> u64 {
        self.filter.messages()
    }

    /// Takes the read error that occurred while earlier bytes were in a pipe.
    #[inline]
    pub(super) fn take_read_error(&mut self) -> Option<io::Error> {
        self.read_error.take()
    }

    /// Returns true if the writer is at a boundary of this kind.
    fn at_boundary(&self, boundary: Boundary) -> bool {
        self.mode == Mode::Rejected || self.filter.output().at_boundary(boundary)
    }
}

impl Rewritten {
    /// Bytes of which nothing was injected.
    fn relayed(bytes: Vec<u8>) -> Self {
        Self { bytes, injected: 0..0 }
    }
}

/// Returns true if a frame of `from` may have to be dropped.
fn may_drop(from: Side, config: &TunnelConfig) -> bool {
    config.framing == Framing::Strict
        || config.max_frame_size.is_some()
        || config.max_message_size.is_some()
        || config.keep_alive.watches(from)
        || config.idle_probe
}
