//! A direction of a WebSocket tunnel: what it does beyond moving bytes.
//!
//! It follows the frames from its reader to its writer ([`frames`](super::frames)), listens to what the reader's side
//! says ([`inspector`]), takes out what is meant for us, and puts ours where a frame ends. Payload in bulk is
//! spliced past it ([`spliceable`]).

mod inspector;
#[cfg(target_os = "linux")]
mod spliceable;

use std::{io, ops::Range, sync::Arc};

use super::{
    CloseFrame, Framing, Side, TunnelConfig,
    config::Sizes,
    frames::{ControlFrame, Filter, Filtered, FrameParser, Mask, PartialFrame, ProtocolError},
};
use inspector::Inspector;
pub(super) use inspector::{FrameError, Tag};

/// Follows the frames from one side to the other, and puts ours between them.
#[derive(Debug)]
pub(super) struct FrameRelay {
    from: Side,
    config: Arc<TunnelConfig>,
    filter: Filter,
    inspector: Inspector,
    /// Ours, to be written at the next boundary.
    injected: Option<Box<Injected>>,
    mode: Mode,
    /// Of the reader, met while bytes from before it stood in a pipe.
    read_error: Option<io::Error>,
}

#[derive(Debug)]
struct Injected {
    frame: ControlFrame,
    /// Nothing may follow it.
    last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// What comes goes on.
    Relay,
    /// The same, and nothing of ours: one of the directions has no frames.
    PassThrough,
    /// A frame was refused. What comes is only listened to; the writer stands before that frame.
    Rejected,
    /// Nothing is written any more. What comes is only listened to.
    Closed,
}

/// Bytes that are written instead of those that were read.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) bytes: Vec<u8>,
    /// Which of them are ours.
    pub(super) injected: Range<usize>,
}

impl FrameRelay {
    pub(super) fn new(from: Side, config: Arc<TunnelConfig>) -> Self {
        Self {
            from,
            filter: if cuts(from, &config) { Filter::new() } else { Filter::passive() },
            config,
            inspector: Inspector::default(),
            injected: None,
            mode: Mode::Relay,
            read_error: None,
        }
    }

    /// Writes a Close at the next boundary, and nothing behind it. False when one has passed already, or
    /// there are no boundaries.
    pub(super) fn close(&mut self, close: &CloseFrame) -> bool {
        let closed = self.inspector.close_code.is_some() && self.mode != Mode::Rejected;
        let can = self.mode != Mode::Closed && !closed && !self.has_given_up();
        if can {
            let frame = ControlFrame::close(close.code(), close.reason(), self.mask());
            self.injected = Some(Box::new(Injected { frame, last: true }));
        }
        can
    }

    /// Writes a Ping with this payload, if the writer stands at a boundary and no more than an earlier
    /// frame of ours is in its way.
    pub(super) fn ping(&mut self, tag: Tag) -> Pinged {
        if self.mode != Mode::Relay || self.inspector.close_code.is_some() || self.has_given_up() {
            return Pinged::Impossible;
        }
        if self.injected.is_none() {
            if !self.at_boundary() {
                return Pinged::MidFrame;
            }
            let frame = ControlFrame::ping(&tag, self.mask());
            self.injected = Some(Box::new(Injected { frame, last: false }));
        }
        Pinged::Queued
    }

    /// Takes the reader's pongs with this payload out from now on.
    pub(super) fn take_out_pongs(&mut self, tag: Tag) {
        self.inspector.tag = Some(tag);
    }

    /// Writes nothing any more, and goes on listening.
    pub(super) fn stop_writing(&mut self) {
        self.injected = None;
        self.mode = Mode::Closed;
    }

    /// Whether nothing of ours is to be written any more.
    pub(super) fn is_flushed(&self) -> bool {
        self.injected.is_none()
    }

    /// Whether what comes is not written.
    pub(super) fn discards(&self) -> bool {
        matches!(self.mode, Mode::Rejected | Mode::Closed)
    }

    /// The code in the Close of the reader's side.
    pub(super) fn close_code(&self) -> Option<u16> {
        self.inspector.close_code
    }

    /// What the reader's side did wrong.
    pub(super) fn frame_error(&self) -> Option<FrameError> {
        self.inspector.error
    }

    /// Whether a Ping has passed since this was last asked.
    pub(super) fn take_pinged(&mut self) -> bool {
        std::mem::take(&mut self.inspector.pinged)
    }

    /// Messages of the reader's side that have come as a whole.
    pub(super) fn messages(&self) -> u64 {
        self.filter.messages()
    }

    /// Whether what came was no valid framing, here or in the other direction, so that nothing of ours
    /// can be put between frames.
    pub(super) fn has_given_up(&self) -> bool {
        self.passes_through() || self.mode == Mode::Relay && self.filter.protocol_error().is_some()
    }

    /// What comes goes on as it is from here on, and what was held back is to be written. `None` when
    /// that is so anyhow, or nothing goes on.
    pub(super) fn give_up(&mut self) -> Option<PartialFrame> {
        if self.mode != Mode::Relay {
            return None;
        }
        self.mode = Mode::PassThrough;
        self.injected = None;
        Some(self.filter.withheld())
    }

    fn passes_through(&self) -> bool {
        self.mode == Mode::PassThrough
    }

    /// Why what came here is no valid framing, where that is let through.
    pub(super) fn given_up(&self) -> Option<&'static str> {
        self.filter.protocol_error().filter(|_| self.inspector.error.is_none()).map(ProtocolError::reason)
    }

    /// A chunk that was read. `None` when it goes on as it is.
    #[inline]
    pub(super) fn pass(&mut self, chunk: &[u8]) -> Option<Rewritten> {
        if self.passes_through() {
            return None;
        }
        let before = self.injected.as_ref().map(|_| self.filter.output());
        let discards = self.discards();
        let passed = self.filter(chunk);
        let whole =
            passed.dropped.is_none() && passed.withheld.is_empty() && passed.bytes.len() == chunk.len();
        if whole && before.is_none() && !discards && self.inspector.error.is_none() {
            return None;
        }
        Some(self.rewrite(before, passed))
    }

    /// What reading has come to in the meantime.
    #[inline]
    pub(super) fn take_read_error(&mut self) -> Option<io::Error> {
        self.read_error.take()
    }

    #[inline]
    fn filter<'a>(&mut self, chunk: &'a [u8]) -> Filtered<'a> {
        let Self { filter, inspector, from, config, .. } = self;
        filter.filter(chunk, |event| inspector.inspect(event, *from, config))
    }

    #[cold]
    fn rewrite(&mut self, before: Option<FrameParser>, mut passed: Filtered<'_>) -> Rewritten {
        let mut bytes = Vec::new();
        loop {
            if !self.discards() {
                bytes.extend_from_slice(passed.withheld.as_bytes());
                bytes.extend_from_slice(passed.bytes);
            }
            if passed.dropped.is_none() {
                break;
            }
            if self.inspector.error.is_some() && self.mode == Mode::Relay {
                self.mode = Mode::Rejected;
            }
            passed = self.filter(passed.rest);
        }
        if self.inspector.error.is_some() && self.mode == Mode::Relay {
            // A control frame most of which had passed before it was known to be wrong.
            self.mode = if self.filter.output().at_boundary() { Mode::Rejected } else { Mode::Closed };
        }
        self.insert(before, bytes)
    }

    /// Puts the Close that is due into `bytes`, which are the next to be written. A Ping is written before
    /// anything more is read.
    fn insert(&mut self, before: Option<FrameParser>, mut bytes: Vec<u8>) -> Rewritten {
        let Some(before) = before else { return Rewritten { bytes, injected: 0..0 } };
        if self.inspector.close_code.is_some() && self.mode == Mode::Relay {
            // It says itself what we were about to say.
            self.injected = None;
        }
        let Some(at) = before.last_boundary(&bytes) else { return Rewritten { bytes, injected: 0..0 } };
        let Some(close) = self.injected.take() else { return Rewritten { bytes, injected: 0..0 } };
        bytes.truncate(at);
        bytes.extend_from_slice(close.frame.as_bytes());
        self.mode = Mode::Closed;
        let injected = at..bytes.len();
        Rewritten { bytes, injected }
    }

    /// Our frame, if it can be written here: everything before it has been.
    pub(super) fn take_injected(&mut self) -> Option<ControlFrame> {
        if self.injected.is_none() || !self.at_boundary() {
            return None;
        }
        let injected = self.injected.take()?;
        if injected.last {
            self.mode = Mode::Closed;
        }
        Some(injected.frame)
    }

    /// The reader has finished: what was held back, and no more of ours within a frame. If the reader's
    /// side has not closed, and ends first, the writer's is told so.
    pub(super) fn finish(&mut self, is_first: bool) -> Vec<u8> {
        if self.discards() || self.passes_through() {
            return Vec::new();
        }
        let held = self.filter.withheld();
        if !held.is_empty() || !self.at_boundary() {
            self.injected = None;
            self.mode = Mode::Closed;
        } else if is_first && self.injected.as_ref().is_none_or(|injected| !injected.last) {
            let config = Arc::clone(&self.config);
            if let Some(close) = config.closes.at_end_of(self.from) {
                self.close(close);
            }
        }
        held.as_bytes().to_vec()
    }

    /// Whether the writer stands at a boundary.
    fn at_boundary(&self) -> bool {
        self.mode == Mode::Rejected || self.filter.output().at_boundary()
    }

    /// Clients mask what they send, so we do towards an upstream
    /// ([RFC 6455, 5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)), with a key that can't be
    /// predicted ([10.3](https://www.rfc-editor.org/rfc/rfc6455#section-10.3)).
    fn mask(&self) -> Mask {
        match self.from {
            Side::Client => Mask::Key(random()),
            Side::Upstream => Mask::None,
        }
    }
}

/// Whether something may have to be taken out of what comes from a side.
fn cuts(from: Side, config: &TunnelConfig) -> bool {
    config.framing == Framing::Strict || config.sizes != Sizes::default() || config.keep_alive.watches(from)
}

/// What has become of a Ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinged {
    /// It is the next that is written.
    Queued,
    /// The writer stands within a frame.
    MidFrame,
    /// There will be no boundary any more.
    Impossible,
}

/// Random bytes; zeros when the system has none: what they are put into stays valid.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
