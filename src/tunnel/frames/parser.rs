//! Where a direction stands between and within its frames.

use super::{
    event::{Data, Event, Frame},
    header::{FrameHeader, ProtocolError},
    partial::PartialFrame,
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
pub(crate) struct FrameParser {
    /// Payload bytes of the current frame still to come.
    remaining: u64,
    /// Bytes of the unfinished message so far.
    message_length: u64,
    messages: u64,
    /// The current frame's beginning, empty between frames. Of a data frame behind its header only the
    /// first byte is right.
    pub(super) partial: PartialFrame,
    state: ParserState,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ParserState {
    /// Between messages.
    BetweenMessages,
    /// The last data frame was not the final one of its message.
    WithinMessage,
    Closed,
    Invalid(ProtocolError),
}

impl FrameParser {
    /// At the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self {
            remaining: 0,
            message_length: 0,
            messages: 0,
            partial: PartialFrame::default(),
            state: ParserState::BetweenMessages,
        }
    }

    /// Walks over the next chunk, frame by frame.
    #[inline]
    pub(crate) fn parse<'a>(&'a mut self, chunk: &'a [u8]) -> Events<'a> {
        Events::new(self, chunk)
    }

    /// Takes note of payload that passed without being fed.
    ///
    /// # Panics
    ///
    /// In debug builds, when these are more than [`skippable`](Self::skippable) allows.
    pub(crate) fn skip(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.skippable(), "more than the frame's payload was skipped");
        if self.remaining > 0 {
            self.remaining = self.remaining.saturating_sub(bytes);
            if self.remaining == 0 {
                self.finish();
            }
        }
    }

    /// How many of the next bytes may be skipped: the rest of a data frame, and anything once nothing
    /// counts any more.
    pub(crate) fn skippable(&self) -> u64 {
        if self.is_finished() {
            u64::MAX
        } else if self.partial.is_control() {
            0
        } else {
            self.remaining
        }
    }

    /// The last boundary in the next chunk: an offset at which a control frame may be inserted. Walks
    /// over a copy.
    pub(crate) fn last_boundary(mut self, chunk: &[u8]) -> Option<usize> {
        let mut events = self.parse(chunk);
        let begun = events.by_ref().filter_map(|event| event.start).last();
        events.start().or(begun)
    }

    /// Whether the stream stands between two frames: a control frame may be inserted here.
    pub(crate) fn at_boundary(&self) -> bool {
        self.partial.is_empty() && !self.is_finished()
    }

    /// Messages that have come as a whole.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Why the walk was given up, if it was.
    pub(crate) fn protocol_error(&self) -> Option<ProtocolError> {
        match self.state {
            ParserState::Invalid(error) => Some(error),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        !matches!(self.state, ParserState::BetweenMessages | ParserState::WithinMessage)
    }

    #[inline]
    pub(super) fn is_within_message(&self) -> bool {
        self.state == ParserState::WithinMessage
    }

    /// The current frame as far as it has come, if all of that is kept: part of a header, or of a control
    /// frame that fits.
    pub(super) fn partial(&self) -> PartialFrame {
        if self.remaining == 0 || self.partial.fits() { self.partial } else { PartialFrame::default() }
    }

    /// Steps back to before the current frame, which has to be a [`partial`](Self::partial) one.
    pub(super) fn discard_partial(&mut self) {
        self.remaining = 0;
        self.partial.clear();
    }

    /// Enters a frame. Returns the bytes of its message so far.
    #[inline]
    pub(super) fn begin(&mut self, header: &FrameHeader) -> u64 {
        self.remaining = header.length;
        if !header.opcode.is_control() {
            let before = if self.is_within_message() { self.message_length } else { 0 };
            self.message_length = before.saturating_add(header.length);
            self.state =
                if header.is_final { ParserState::BetweenMessages } else { ParserState::WithinMessage };
        }
        self.message_length
    }

    /// Passes the payload of the current frame that a chunk begins with. Returns its bytes.
    #[inline]
    pub(super) fn pass_payload(&mut self, chunk: &[u8]) -> usize {
        let bytes = usize::try_from(self.remaining).map_or(chunk.len(), |left| left.min(chunk.len()));
        self.remaining -= bytes as u64;
        if self.partial.is_control() {
            self.partial.append(&chunk[..bytes]);
        }
        bytes
    }

    /// Whether there is no more payload of the current frame.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.remaining == 0
    }

    /// Leaves a frame whose payload has come as a whole.
    #[inline]
    pub(super) fn finish(&mut self) {
        if !self.partial.is_control() {
            self.messages += u64::from(self.partial.is_final());
        } else if self.partial.is_close() {
            self.state = ParserState::Closed;
        }
        self.partial.clear();
    }

    pub(super) fn fail(&mut self, error: ProtocolError) {
        self.state = ParserState::Invalid(error);
        self.partial.clear();
    }
}

/// The frames of a chunk, in order: data frames when their header has come, control frames when they
/// have come as a whole.
///
/// A walk that is dropped early has come as far as the end of its last event. What is behind that is
/// then the next chunk.
#[derive(Debug)]
#[must_use = "a walk does nothing unless iterated"]
pub(crate) struct Events<'a> {
    parser: &'a mut FrameParser,
    chunk: &'a [u8],
    at: usize,
    /// Where in the chunk the current frame begins.
    start: Option<usize>,
}

impl<'a> Events<'a> {
    #[inline]
    pub(super) fn new(parser: &'a mut FrameParser, chunk: &'a [u8]) -> Self {
        let start = parser.at_boundary().then_some(0);
        Self { parser, chunk, at: 0, start }
    }

    /// Where the frame begins, or will begin, that is behind the last event.
    pub(super) fn start(&self) -> Option<usize> {
        self.start
    }

    /// Reads the header at hand, as far as it has come.
    #[inline]
    fn header(&mut self) -> Option<Result<FrameHeader, ProtocolError>> {
        let bytes = &self.chunk[self.at..];
        let within_message = self.parser.is_within_message();
        if self.parser.partial.is_empty()
            && let Ok(Some(header)) = FrameHeader::parse(bytes, within_message)
        {
            if header.opcode.is_control() {
                self.parser.partial.append(&bytes[..header.size]);
            } else {
                self.parser.partial.set_first(bytes[0]);
            }
            self.at += header.size;
            return Some(Ok(header));
        }
        self.split_header(within_message)
    }

    /// The same for a header that is split between chunks, or invalid.
    #[cold]
    fn split_header(&mut self, within_message: bool) -> Option<Result<FrameHeader, ProtocolError>> {
        while let Some(byte) = self.chunk.get(self.at) {
            self.parser.partial.append(&[*byte]);
            self.at += 1;
            let header = FrameHeader::parse(self.parser.partial.as_bytes(), within_message).transpose();
            if header.is_some() {
                return header;
            }
        }
        None
    }

    #[inline]
    fn event(&self, frame: Frame, is_masked: bool) -> Event {
        Event { start: self.start, end: self.at, is_masked, frame }
    }

    #[inline]
    fn data(&mut self, header: &FrameHeader) -> Event {
        let message_length = self.parser.begin(header);
        let FrameHeader { opcode, is_final, is_masked, length, .. } = *header;
        let event = self.event(Frame::Data(Data { opcode, is_final, length, message_length }), is_masked);
        if self.parser.is_complete() {
            self.finish();
        }
        event
    }

    fn control(&mut self) -> Event {
        let event = self.event(self.parser.partial.control(), self.parser.partial.is_masked());
        self.finish();
        event
    }

    #[inline]
    fn finish(&mut self) {
        self.parser.finish();
        self.start = self.parser.at_boundary().then_some(self.at);
    }

    #[cold]
    fn invalid(&mut self, error: ProtocolError) -> Event {
        let event = self.event(Frame::Invalid(error), false);
        self.parser.fail(error);
        self.start = None;
        event
    }
}

impl Iterator for Events<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        while self.at < self.chunk.len() && !self.parser.is_finished() {
            if self.parser.is_complete() {
                match self.header()? {
                    Ok(header) if !header.opcode.is_control() => return Some(self.data(&header)),
                    Ok(header) => _ = self.parser.begin(&header),
                    Err(error) => return Some(self.invalid(error)),
                }
            }
            self.at += self.parser.pass_payload(&self.chunk[self.at..]);
            if self.parser.is_complete() {
                if self.parser.partial.is_control() {
                    return Some(self.control());
                }
                self.finish();
            }
        }
        None
    }
}
