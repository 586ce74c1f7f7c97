//! A direction of a WebSocket tunnel: what it does beyond moving bytes.
//!
//! It follows the frames from its reader to its writer ([`frames`](super::frames)), listens to what the reader's side
//! says ([`ear`]), takes out what is meant for us, and puts ours where a frame ends. Payload in bulk is
//! spliced past it ([`bulk`]).

#[cfg_attr(not(target_os = "linux"), path = "bulk_absent.rs")]
mod bulk;
mod ear;

use std::{io, ops::Range, sync::Arc};

use super::{
    CloseFrame, Side, TunnelConfig,
    config::Sizes,
    frames::{ControlFrame, Filter, Filtered, FrameParser, Mask, PartialFrame, ProtocolError},
};
use ear::Ear;
pub(super) use ear::{Fault, Tag};

/// Follows the frames from one side to the other, and puts ours between them.
#[derive(Debug)]
pub(super) struct Lane {
    from: Side,
    config: Arc<TunnelConfig>,
    filter: Filter,
    ear: Ear,
    /// Ours, to be written at the next boundary.
    due: Option<Box<Due>>,
    stage: Stage,
    /// Of the reader, met while bytes from before it stood in a pipe.
    error: Option<io::Error>,
}

#[derive(Debug)]
struct Due {
    frame: ControlFrame,
    /// Nothing may follow it.
    last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// What comes goes on.
    Open,
    /// The same, and nothing of ours: one of the directions has no frames.
    Opaque,
    /// A frame was refused. What comes is only listened to; the writer stands before that frame.
    Refused,
    /// Nothing is written any more. What comes is only listened to.
    Shut,
}

/// Bytes that are written instead of those that were read.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) bytes: Vec<u8>,
    /// Which of them are ours.
    pub(super) ours: Range<usize>,
}

impl Lane {
    pub(super) fn new(from: Side, config: Arc<TunnelConfig>) -> Self {
        Self {
            from,
            filter: if cuts(from, &config) { Filter::new() } else { Filter::passive() },
            config,
            ear: Ear::default(),
            due: None,
            stage: Stage::Open,
            error: None,
        }
    }

    /// Writes a Close at the next boundary, and nothing behind it. False when one has passed already, or
    /// there are no boundaries.
    pub(super) fn close(&mut self, close: &CloseFrame) -> bool {
        let closed = self.ear.close.is_some() && self.stage != Stage::Refused;
        let can = self.stage != Stage::Shut && !closed && !self.has_given_up();
        if can {
            let frame = ControlFrame::close(close.code(), close.reason(), self.mask());
            self.due = Some(Box::new(Due { frame, last: true }));
        }
        can
    }

    /// Writes a Ping with this payload, if the writer stands at a boundary and no more than an earlier
    /// frame of ours is in its way.
    pub(super) fn ping(&mut self, tag: Tag) -> Pinged {
        if self.stage != Stage::Open || self.ear.close.is_some() || self.has_given_up() {
            return Pinged::Never;
        }
        if self.due.is_none() {
            if !self.at_boundary() {
                return Pinged::NotNow;
            }
            let frame = ControlFrame::ping(&tag, self.mask());
            self.due = Some(Box::new(Due { frame, last: false }));
        }
        Pinged::Due
    }

    /// Takes the reader's pongs with this payload out from now on.
    pub(super) fn take_out_pongs(&mut self, tag: Tag) {
        self.ear.tag = Some(tag);
    }

    /// Writes nothing any more, and goes on listening.
    pub(super) fn mute(&mut self) {
        self.due = None;
        self.stage = Stage::Shut;
    }

    /// Whether nothing of ours is to be written any more.
    pub(super) fn is_told(&self) -> bool {
        self.due.is_none()
    }

    /// Whether what comes is not written.
    pub(super) fn is_deaf(&self) -> bool {
        matches!(self.stage, Stage::Refused | Stage::Shut)
    }

    /// The code in the Close of the reader's side.
    pub(super) fn heard_close(&self) -> Option<u16> {
        self.ear.close
    }

    /// What the reader's side did wrong.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.ear.fault
    }

    /// Whether a Ping has passed since this was last asked.
    pub(super) fn take_pinged(&mut self) -> bool {
        std::mem::take(&mut self.ear.pinged)
    }

    /// Messages of the reader's side that have come as a whole.
    pub(super) fn messages(&self) -> u64 {
        self.filter.messages()
    }

    /// Whether what came was no valid framing, here or in the other direction, so that nothing of ours
    /// can be put between frames.
    pub(super) fn has_given_up(&self) -> bool {
        self.is_opaque() || self.stage == Stage::Open && self.filter.protocol_error().is_some()
    }

    /// What comes goes on as it is from here on, and what was held back is to be written. `None` when
    /// that is so anyhow, or nothing goes on.
    pub(super) fn give_up(&mut self) -> Option<PartialFrame> {
        if self.stage != Stage::Open {
            return None;
        }
        self.stage = Stage::Opaque;
        self.due = None;
        Some(self.filter.held())
    }

    fn is_opaque(&self) -> bool {
        self.stage == Stage::Opaque
    }

    /// Why what came here is no valid framing, where that is let through.
    pub(super) fn given_up(&self) -> Option<&'static str> {
        self.filter.protocol_error().filter(|_| self.ear.fault.is_none()).map(ProtocolError::reason)
    }

    /// A chunk that was read. `None` when it goes on as it is.
    #[inline]
    pub(super) fn pass(&mut self, chunk: &[u8]) -> Option<Made> {
        if self.is_opaque() {
            return None;
        }
        let before = self.due.as_ref().map(|_| self.filter.output());
        let deaf = self.is_deaf();
        let passed = self.filter(chunk);
        let whole = passed.dropped.is_none() && passed.held.is_empty() && passed.bytes.len() == chunk.len();
        if whole && before.is_none() && !deaf && self.ear.fault.is_none() {
            return None;
        }
        Some(self.make(before, passed))
    }

    /// What reading has come to in the meantime.
    #[inline]
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    #[inline]
    fn filter<'a>(&mut self, chunk: &'a [u8]) -> Filtered<'a> {
        let Self { filter, ear, from, config, .. } = self;
        filter.filter(chunk, |event| ear.inspect(event, *from, config))
    }

    #[cold]
    fn make(&mut self, before: Option<FrameParser>, mut passed: Filtered<'_>) -> Made {
        let mut bytes = Vec::new();
        loop {
            if !self.is_deaf() {
                bytes.extend_from_slice(passed.held.as_bytes());
                bytes.extend_from_slice(passed.bytes);
            }
            if passed.dropped.is_none() {
                break;
            }
            if self.ear.fault.is_some() && self.stage == Stage::Open {
                self.stage = Stage::Refused;
            }
            passed = self.filter(passed.rest);
        }
        if self.ear.fault.is_some() && self.stage == Stage::Open {
            // A control frame most of which had passed before it was known to be wrong.
            self.stage = if self.filter.output().at_boundary() { Stage::Refused } else { Stage::Shut };
        }
        self.insert(before, bytes)
    }

    /// Puts the Close that is due into `bytes`, which are the next to be written. A Ping is written before
    /// anything more is read.
    fn insert(&mut self, before: Option<FrameParser>, mut bytes: Vec<u8>) -> Made {
        let Some(before) = before else { return Made { bytes, ours: 0..0 } };
        if self.ear.close.is_some() && self.stage == Stage::Open {
            // It says itself what we were about to say.
            self.due = None;
        }
        let Some(at) = before.last_boundary(&bytes) else { return Made { bytes, ours: 0..0 } };
        let Some(close) = self.due.take() else { return Made { bytes, ours: 0..0 } };
        bytes.truncate(at);
        bytes.extend_from_slice(close.frame.as_bytes());
        self.stage = Stage::Shut;
        let ours = at..bytes.len();
        Made { bytes, ours }
    }

    /// Our frame, if it can be written here: everything before it has been.
    pub(super) fn take_due(&mut self) -> Option<ControlFrame> {
        if self.due.is_none() || !self.at_boundary() {
            return None;
        }
        let due = self.due.take()?;
        if due.last {
            self.stage = Stage::Shut;
        }
        Some(due.frame)
    }

    /// The reader has finished: what was held back, and no more of ours within a frame. If the reader's
    /// side has not closed, and ends first, the writer's is told so.
    pub(super) fn finish(&mut self, is_first: bool) -> Vec<u8> {
        if self.is_deaf() || self.is_opaque() {
            return Vec::new();
        }
        let held = self.filter.held();
        if !held.is_empty() || !self.at_boundary() {
            self.due = None;
            self.stage = Stage::Shut;
        } else if is_first && self.due.as_ref().is_none_or(|due| !due.last) {
            let config = Arc::clone(&self.config);
            if let Some(close) = config.closes.at_end_of(self.from) {
                self.close(close);
            }
        }
        held.as_bytes().to_vec()
    }

    /// Whether the writer stands at a boundary.
    fn at_boundary(&self) -> bool {
        self.stage == Stage::Refused || self.filter.output().at_boundary()
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
    config.strict || config.sizes != Sizes::default() || config.keep_alive.watches(from)
}

/// What has become of a Ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinged {
    /// It is the next that is written.
    Due,
    /// The writer stands within a frame.
    NotNow,
    /// There will be no boundary any more.
    Never,
}

/// Random bytes; zeros when the system has none: what they are put into stays valid.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
