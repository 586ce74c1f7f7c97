//! Where a direction stands between and within its frames.

use super::{
    event::{Data, Event, Frame},
    head::{Head, Violation},
    start::Start,
};

/// Follows the frames of one direction
/// ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
///
/// It is fed with all bytes, in chunks split anywhere, and keeps none of them but a frame's first 14.
/// Payload of data frames may also pass without being fed ([`skip`](Self::skip)). A copy follows on from
/// where the original stood.
///
/// Nothing counts behind a Close, since its receiver discards it
/// ([1.4](https://www.rfc-editor.org/rfc/rfc6455#section-1.4)), and nothing behind an invalid frame:
/// there are no events and no boundaries any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walker {
    /// Payload bytes of the current frame still to come.
    left: u64,
    /// Bytes of the unfinished message so far.
    message: u64,
    messages: u64,
    /// The current frame's beginning, empty between frames. Of a data frame behind its header only the
    /// first byte is right.
    pub(super) start: Start,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Between messages.
    Idle,
    /// The last data frame was not the final one of its message.
    Unfinished,
    Closed,
    GivenUp(Violation),
}

impl Walker {
    /// At the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self { left: 0, message: 0, messages: 0, start: Start::default(), stage: Stage::Idle }
    }

    /// Walks over the next chunk, frame by frame.
    #[inline]
    pub(crate) fn walk<'a>(&'a mut self, chunk: &'a [u8]) -> Walk<'a> {
        Walk::new(self, chunk)
    }

    /// Takes note of payload that passed without being fed.
    ///
    /// # Panics
    ///
    /// In debug builds, when these are more than [`unseen`](Self::unseen) allows.
    pub(crate) fn skip(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.unseen(), "more than the frame's payload was skipped");
        if self.left > 0 {
            self.left = self.left.saturating_sub(bytes);
            if self.left == 0 {
                self.finish();
            }
        }
    }

    /// How many of the next bytes may be skipped: the rest of a data frame, and anything once nothing
    /// counts any more.
    pub(crate) fn unseen(&self) -> u64 {
        if self.is_over() {
            u64::MAX
        } else if self.start.is_control() {
            0
        } else {
            self.left
        }
    }

    /// The last boundary in the next chunk: an offset at which a control frame may be inserted. Walks
    /// over a copy.
    pub(crate) fn last_boundary(mut self, chunk: &[u8]) -> Option<usize> {
        let mut walk = self.walk(chunk);
        let begun = walk.by_ref().filter_map(|event| event.start).last();
        walk.start().or(begun)
    }

    /// Whether the stream stands between two frames: a control frame may be inserted here.
    pub(crate) fn at_boundary(&self) -> bool {
        self.start.is_empty() && !self.is_over()
    }

    /// Messages that have come as a whole.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Why the walk was given up, if it was.
    pub(crate) fn given_up(&self) -> Option<Violation> {
        match self.stage {
            Stage::GivenUp(violation) => Some(violation),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.stage, Stage::Idle | Stage::Unfinished)
    }

    #[inline]
    pub(super) fn is_unfinished(&self) -> bool {
        self.stage == Stage::Unfinished
    }

    /// The current frame as far as it has come, if all of that is kept: part of a header, or of a control
    /// frame that fits.
    pub(super) fn partial(&self) -> Start {
        if self.left == 0 || self.start.fits() { self.start } else { Start::default() }
    }

    /// Steps back to before the current frame, which has to be a [`partial`](Self::partial) one.
    pub(super) fn step_back(&mut self) {
        self.left = 0;
        self.start.clear();
    }

    /// Enters a frame. Returns the bytes of its message so far.
    #[inline]
    pub(super) fn begin(&mut self, head: &Head) -> u64 {
        self.left = head.length;
        if !head.opcode.is_control() {
            let before = if self.is_unfinished() { self.message } else { 0 };
            self.message = before.saturating_add(head.length);
            self.stage = if head.is_final { Stage::Idle } else { Stage::Unfinished };
        }
        self.message
    }

    /// Passes the payload of the current frame that a chunk begins with. Returns its bytes.
    #[inline]
    pub(super) fn pass_payload(&mut self, chunk: &[u8]) -> usize {
        let bytes = usize::try_from(self.left).map_or(chunk.len(), |left| left.min(chunk.len()));
        self.left -= bytes as u64;
        if self.start.is_control() {
            self.start.append(&chunk[..bytes]);
        }
        bytes
    }

    /// Whether there is no more payload of the current frame.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    /// Leaves a frame whose payload has come as a whole.
    #[inline]
    pub(super) fn finish(&mut self) {
        if !self.start.is_control() {
            self.messages += u64::from(self.start.is_final());
        } else if self.start.is_close() {
            self.stage = Stage::Closed;
        }
        self.start.clear();
    }

    pub(super) fn give_up(&mut self, violation: Violation) {
        self.stage = Stage::GivenUp(violation);
        self.start.clear();
    }
}

/// The frames of a chunk, in order: data frames when their header has come, control frames when they
/// have come as a whole.
///
/// A walk that is dropped early has come as far as the end of its last event. What is behind that is
/// then the next chunk.
#[derive(Debug)]
#[must_use = "a walk does nothing unless iterated"]
pub(crate) struct Walk<'a> {
    walker: &'a mut Walker,
    chunk: &'a [u8],
    at: usize,
    /// Where in the chunk the current frame begins.
    start: Option<usize>,
}

impl<'a> Walk<'a> {
    #[inline]
    pub(super) fn new(walker: &'a mut Walker, chunk: &'a [u8]) -> Self {
        let start = walker.at_boundary().then_some(0);
        Self { walker, chunk, at: 0, start }
    }

    /// Where the frame begins, or will begin, that is behind the last event.
    pub(super) fn start(&self) -> Option<usize> {
        self.start
    }

    /// Reads the header at hand, as far as it has come.
    #[inline]
    fn head(&mut self) -> Option<Result<Head, Violation>> {
        let bytes = &self.chunk[self.at..];
        let unfinished = self.walker.is_unfinished();
        if self.walker.start.is_empty()
            && let Ok(Some(head)) = Head::parse(bytes, unfinished)
        {
            if head.opcode.is_control() {
                self.walker.start.append(&bytes[..head.size]);
            } else {
                self.walker.start.set_first(bytes[0]);
            }
            self.at += head.size;
            return Some(Ok(head));
        }
        self.head_in_pieces(unfinished)
    }

    /// The same for a header that is split between chunks, or invalid.
    #[cold]
    fn head_in_pieces(&mut self, unfinished: bool) -> Option<Result<Head, Violation>> {
        while let Some(byte) = self.chunk.get(self.at) {
            self.walker.start.append(&[*byte]);
            self.at += 1;
            let head = Head::parse(self.walker.start.as_bytes(), unfinished).transpose();
            if head.is_some() {
                return head;
            }
        }
        None
    }

    #[inline]
    fn event(&self, frame: Frame, is_masked: bool) -> Event {
        Event { start: self.start, end: self.at, is_masked, frame }
    }

    #[inline]
    fn data(&mut self, head: &Head) -> Event {
        let message = self.walker.begin(head);
        let Head { opcode, is_final, is_masked, length, .. } = *head;
        let event = self.event(Frame::Data(Data { opcode, is_final, length, message }), is_masked);
        if self.walker.is_complete() {
            self.finish();
        }
        event
    }

    fn control(&mut self) -> Event {
        let event = self.event(self.walker.start.control(), self.walker.start.is_masked());
        self.finish();
        event
    }

    #[inline]
    fn finish(&mut self) {
        self.walker.finish();
        self.start = self.walker.at_boundary().then_some(self.at);
    }

    #[cold]
    fn invalid(&mut self, violation: Violation) -> Event {
        let event = self.event(Frame::Invalid(violation), false);
        self.walker.give_up(violation);
        self.start = None;
        event
    }
}

impl Iterator for Walk<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        while self.at < self.chunk.len() && !self.walker.is_over() {
            if self.walker.is_complete() {
                match self.head()? {
                    Ok(head) if !head.opcode.is_control() => return Some(self.data(&head)),
                    Ok(head) => _ = self.walker.begin(&head),
                    Err(violation) => return Some(self.invalid(violation)),
                }
            }
            self.at += self.walker.pass_payload(&self.chunk[self.at..]);
            if self.walker.is_complete() {
                if self.walker.start.is_control() {
                    return Some(self.control());
                }
                self.finish();
            }
        }
        None
    }
}
