//! A walk over one chunk.

use super::{
    event::{Data, Event, Frame},
    head::{Head, Violation},
    walker::Walker,
};

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
