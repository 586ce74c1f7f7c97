//! Taking frames out of a stream.

use super::{event::Event, header::ProtocolError, parser::FrameParser, partial::PartialFrame};

/// A [`FrameParser`] that holds back the beginning of a frame until it is known whether the frame may pass.
///
/// Held back are an incomplete header, and an incomplete control frame of up to 8 bytes of payload:
/// 13 bytes at most, which the parser keeps anyway, and which no receiver can do anything with. So every
/// data frame can be cut off before its header, and the Pong to a Ping of our own can be taken out.
///
/// Several chunks make one stream of pieces to write:
///
/// ```text
/// chunk ─▶ pass ─▶ held, bytes ─▶ written
///           ▲        │
///           └─ rest ─┘ while there is any
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    parser: FrameParser,
    holds: bool,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Pass,
    /// What is before it goes on; it does not.
    Drop,
}

/// What of a chunk is to be written.
#[derive(Clone, Copy, Debug)]
#[must_use = "what passes has to be written"]
pub(crate) struct Filtered<'a> {
    /// Bytes of earlier chunks, to be written first. Mostly none.
    pub(crate) held: PartialFrame,
    /// Bytes of this chunk.
    pub(crate) bytes: &'a [u8],
    /// What is behind a frame that was dropped: the chunk to go on with.
    pub(crate) rest: &'a [u8],
    /// The frame that was cut. When it is a control frame, the stream may go on without it. Behind any
    /// other it can only be closed: the rest is payload, or no frames at all.
    pub(crate) dropped: Option<Event>,
}

impl Filter {
    /// At the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self { parser: FrameParser::new(), holds: true }
    }

    /// The same for a stream in which nothing will be cut. Nothing is held back.
    pub(crate) fn passive() -> Self {
        Self { holds: false, ..Self::new() }
    }

    /// Walks over the next chunk, as far as the first frame that is cut.
    ///
    /// A control frame above 8 bytes of payload that came in several chunks can't be cut any more; it
    /// passes, whatever the verdict.
    pub(crate) fn filter<'a>(
        &mut self,
        chunk: &'a [u8],
        mut inspect: impl FnMut(&Event) -> Verdict,
    ) -> Filtered<'a> {
        let held = self.held();
        for event in self.parser.parse(chunk) {
            if inspect(&event) == Verdict::Pass {
                continue;
            }
            let (held, before) = match event.start {
                Some(start) => (held, start),
                None if !held.is_empty() => (PartialFrame::default(), 0),
                None => continue,
            };
            return Filtered {
                held,
                bytes: &chunk[..before],
                rest: &chunk[event.end..],
                dropped: Some(event),
            };
        }
        let (held, bytes) = match chunk.len().checked_sub(self.held().as_bytes().len()) {
            Some(end) => (held, &chunk[..end]),
            // The frame that was held back is still not complete.
            None => (PartialFrame::default(), &[][..]),
        };
        Filtered { held, bytes, rest: &[], dropped: None }
    }

    /// What is held back. It has to be written when the stream ends here.
    pub(crate) fn held(&self) -> PartialFrame {
        if self.holds { self.parser.partial() } else { PartialFrame::default() }
    }

    /// A parser that stands at the end of what has passed.
    pub(crate) fn output(&self) -> FrameParser {
        let mut parser = self.parser;
        if !self.held().is_empty() {
            parser.discard_partial();
        }
        parser
    }

    /// See [`FrameParser::messages`].
    pub(crate) fn messages(&self) -> u64 {
        self.parser.messages()
    }

    /// See [`FrameParser::protocol_error`].
    pub(crate) fn protocol_error(&self) -> Option<ProtocolError> {
        self.parser.protocol_error()
    }

    /// See [`FrameParser::skip`].
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.parser.skip(bytes);
    }
}
