//! The parser's loop over a chunk.
//!
//! Each turn parses a header, if the previous frame is complete, and then passes the payload at hand. A data frame
//! is reported when its header is complete, because its payload may pass unread; a control frame is reported with
//! its payload; an invalid frame ends the loop.

use super::{
    frame::{Data, Event, Frame},
    header::{FrameHeader, ProtocolError},
    parser::{Boundary, FrameParser},
};

/// The frames of a chunk in order: data frames once their header is complete, control frames once all of
/// their bytes have arrived.
///
/// When the iterator is dropped early, the parser is at the end of the last event, and the bytes after it
/// are to be parsed as the next chunk.
#[derive(Debug)]
#[must_use = "nothing is parsed unless iterated"]
pub(crate) struct Events<'a> {
    parser: &'a mut FrameParser,
    chunk: &'a [u8],
    /// Offset of the next byte to be parsed.
    at: usize,
    /// Offset of the current frame in the chunk.
    start: Option<usize>,
}

impl<'a> Events<'a> {
    #[inline]
    pub(super) fn new(parser: &'a mut FrameParser, chunk: &'a [u8]) -> Self {
        let start = parser.at_boundary(Boundary::Frame).then_some(0);
        Self { parser, chunk, at: 0, start }
    }

    /// Offset of the current frame: that of the last event until all of it has arrived, and then the next one, even if
    /// none of that has arrived.
    pub(super) fn start(&self) -> Option<usize> {
        self.start
    }

    /// See [`FrameParser::is_between`].
    pub(super) fn is_between(&self, boundary: Boundary) -> bool {
        self.parser.is_between(boundary)
    }

    /// Parses the current header; `None` when the chunk ends within it.
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

    /// Parses a header that is split between chunks, or invalid.
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

    /// An event that ends at the current byte.
    #[inline]
    fn event(&self, frame: Frame, is_masked: bool) -> Event {
        Event { start: self.start, end: self.at, is_masked, frame }
    }

    /// Begins a data frame, and ends it if it has no payload.
    #[inline]
    fn data(&mut self, header: &FrameHeader) -> Event {
        let message_length = self.parser.begin_frame(header);
        let FrameHeader { opcode, is_final, is_masked, length, .. } = *header;
        let event = self.event(Frame::Data(Data { opcode, is_final, length, message_length }), is_masked);
        if self.parser.is_complete() {
            self.finish_frame();
        }
        event
    }

    /// Ends a control frame whose payload is complete.
    fn control(&mut self) -> Event {
        let event = self.event(self.parser.partial.control(), self.parser.partial.is_masked());
        self.finish_frame();
        event
    }

    /// Ends the current frame. The next one begins here.
    #[inline]
    fn finish_frame(&mut self) {
        self.parser.finish_frame();
        self.start = self.parser.at_boundary(Boundary::Frame).then_some(self.at);
    }

    /// Ends parsing with an error.
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
                    Ok(header) => _ = self.parser.begin_frame(&header),
                    Err(error) => return Some(self.invalid(error)),
                }
            }
            self.at += self.parser.pass_payload(&self.chunk[self.at..]);
            if self.parser.is_complete() {
                if self.parser.partial.is_control() {
                    return Some(self.control());
                }
                self.finish_frame();
            }
        }
        None
    }
}
