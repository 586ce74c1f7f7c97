//! Position of a stream within and between its frames.

use super::{
    events::Events,
    header::{FrameHeader, ProtocolError},
    partial::PartialFrame,
};

/// Follows the frames of one direction
/// ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
///
/// The input is the whole stream in chunks that are split anywhere. Payload of data frames may be
/// [skipped](Self::skip) instead. A parser takes 48 bytes: the first 14 bytes of the current frame, and counters.
/// A copy continues where the original is.
///
/// Parsing ends with a Close, since its receiver discards all further data
/// ([1.4](https://www.rfc-editor.org/rfc/rfc6455#section-1.4)), and with an invalid frame: from there on
/// there are no events and no boundaries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameParser {
    /// Payload bytes of the current frame that have not arrived.
    remaining: u64,
    /// Payload length of the current message so far.
    message_length: u64,
    /// Number of complete messages.
    messages: u64,
    /// The first bytes of the current frame, empty at a boundary. After the header of a data frame only the
    /// first byte is right.
    pub(super) partial: PartialFrame,
    state: ParserState,
}

/// Kind of a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// Between two frames.
    Frame,
    /// Between two messages.
    Message,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum ParserState {
    BetweenMessages,
    /// The last data frame was not the final one of its message.
    WithinMessage,
    /// A Close has arrived.
    Closed,
    Invalid(ProtocolError),
}

impl FrameParser {
    /// A parser at the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self {
            remaining: 0,
            message_length: 0,
            messages: 0,
            partial: PartialFrame::default(),
            state: ParserState::BetweenMessages,
        }
    }

    /// Parses the next chunk, frame by frame.
    #[inline]
    pub(crate) fn parse<'a>(&'a mut self, chunk: &'a [u8]) -> Events<'a> {
        Events::new(self, chunk)
    }

    /// Advances over payload that is not parsed.
    ///
    /// # Panics
    ///
    /// In debug builds, when `bytes` exceeds [`skippable`](Self::skippable).
    pub(crate) fn skip(&mut self, bytes: u64) {
        debug_assert!(bytes <= self.skippable(), "more than the frame's payload was skipped");
        if self.remaining > 0 {
            self.remaining = self.remaining.saturating_sub(bytes);
            if self.remaining == 0 {
                self.finish_frame();
            }
        }
    }

    /// Number of bytes that may be skipped: the remaining payload of a data frame, or any number once
    /// parsing has ended.
    pub(crate) fn skippable(&self) -> u64 {
        if self.is_finished() {
            u64::MAX
        } else if self.partial.is_control() {
            0
        } else {
            self.remaining
        }
    }

    /// Offset of the last boundary of this kind in the next chunk, where a control frame may be inserted. Parses with
    /// a copy.
    pub(crate) fn last_boundary(mut self, boundary: Boundary, chunk: &[u8]) -> Option<usize> {
        let mut is_boundary = self.is_between(boundary);
        let mut events = self.parse(chunk);
        let (mut last, mut current) = (None, None);
        while let Some(event) = events.next() {
            current = event.start;
            if is_boundary {
                last = current.or(last);
            }
            is_boundary = events.is_between(boundary);
        }
        let next = events.start().filter(|start| is_boundary && current != Some(*start));
        next.or(last)
    }

    /// Returns true at a boundary of this kind, where a control frame may be inserted.
    pub(crate) fn at_boundary(&self, boundary: Boundary) -> bool {
        self.partial.is_empty() && !self.is_finished() && self.is_between(boundary)
    }

    /// Returns true if the frame after the current one begins at a boundary of this kind.
    #[inline]
    pub(super) fn is_between(&self, boundary: Boundary) -> bool {
        boundary == Boundary::Frame || !self.is_within_message()
    }

    /// Number of complete messages.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// The error that ended parsing, if any.
    pub(crate) fn protocol_error(&self) -> Option<ProtocolError> {
        match self.state {
            ParserState::Invalid(error) => Some(error),
            _ => None,
        }
    }

    /// Returns true if parsing has ended, by a Close or an invalid frame.
    #[inline]
    pub(super) fn is_finished(&self) -> bool {
        !matches!(self.state, ParserState::BetweenMessages | ParserState::WithinMessage)
    }

    #[inline]
    pub(super) fn is_within_message(&self) -> bool {
        self.state == ParserState::WithinMessage
    }

    /// The received bytes of the current frame if all of them are kept: a part of a header, or of a control
    /// frame that fits.
    pub(super) fn partial(&self) -> PartialFrame {
        if self.remaining == 0 || self.partial.fits() { self.partial } else { PartialFrame::default() }
    }

    /// Returns to the boundary before the current frame. Requires that [`partial`](Self::partial) is not
    /// empty.
    pub(super) fn discard_partial(&mut self) {
        self.remaining = 0;
        self.partial.clear();
    }

    /// Begins a frame. Returns the payload length of its message so far.
    #[inline]
    pub(super) fn begin_frame(&mut self, header: &FrameHeader) -> u64 {
        self.remaining = header.length;
        if !header.opcode.is_control() {
            let before = if self.is_within_message() { self.message_length } else { 0 };
            self.message_length = before.saturating_add(header.length);
            self.state =
                if header.is_final { ParserState::BetweenMessages } else { ParserState::WithinMessage };
        }
        self.message_length
    }

    /// Advances over the payload at the beginning of a chunk. Returns its length.
    #[inline]
    pub(super) fn pass_payload(&mut self, chunk: &[u8]) -> usize {
        let bytes =
            usize::try_from(self.remaining).map_or(chunk.len(), |remaining| remaining.min(chunk.len()));
        self.remaining -= bytes as u64;
        if self.partial.is_control() {
            self.partial.append(&chunk[..bytes]);
        }
        bytes
    }

    /// Returns true if all payload of the current frame has arrived.
    #[inline]
    pub(super) fn is_complete(&self) -> bool {
        self.remaining == 0
    }

    /// Ends a frame whose payload is complete.
    #[inline]
    pub(super) fn finish_frame(&mut self) {
        if !self.partial.is_control() {
            self.messages += u64::from(self.partial.is_final());
        } else if self.partial.is_close() {
            self.state = ParserState::Closed;
        }
        self.partial.clear();
    }

    /// Ends parsing with an error.
    pub(super) fn fail(&mut self, error: ProtocolError) {
        self.state = ParserState::Invalid(error);
        self.partial.clear();
    }
}
