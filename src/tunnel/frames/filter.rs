//! Dropping frames from a stream.

use super::{
    frame::Event,
    header::ProtocolError,
    parser::{Boundary, FrameParser},
    partial::PartialFrame,
};

/// A [`FrameParser`] that withholds the beginning of a frame until the frame may pass.
///
/// Withheld are an incomplete header, and an incomplete control frame with at most 8 bytes of payload:
/// 13 bytes at most, which the parser keeps anyway, and which are of no use to a receiver yet. So every data
/// frame can be dropped together with its header, and so can the Pong to a Ping of the proxy.
///
/// The output of a chunk is a sequence of pieces:
///
/// ```text
/// chunk ─▶ filter ─▶ withheld, bytes ─▶ written
///            ▲          │
///            └── rest ──┘ until it is empty
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    parser: FrameParser,
    withholds: bool,
}

/// Decision on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The frame is relayed.
    Pass,
    /// The bytes before the frame are relayed, the frame is not.
    Drop,
}

/// Output of a [`Filter`], up to the first frame that is dropped.
#[derive(Clone, Copy, Debug)]
#[must_use = "the output has to be written"]
pub(crate) struct Filtered<'a> {
    /// Bytes of earlier chunks that were withheld, to be written first. Usually empty.
    pub(crate) withheld: PartialFrame,
    /// Bytes of this chunk, to be written.
    pub(crate) bytes: &'a [u8],
    /// Bytes after the dropped frame, to be filtered next.
    pub(crate) rest: &'a [u8],
    /// The dropped frame. After a control frame the stream may continue. After any other frame it can only
    /// be closed: `rest` begins with payload, or with bytes that are not frames.
    pub(crate) dropped: Option<Event>,
}

impl Filter {
    /// A filter at the beginning of a stream.
    pub(crate) fn new() -> Self {
        Self { parser: FrameParser::new(), withholds: true }
    }

    /// A filter for a stream of which no frame will be dropped. Nothing is withheld.
    pub(crate) fn passive() -> Self {
        Self { withholds: false, ..Self::new() }
    }

    /// Parses the next chunk up to the first frame that `inspect` drops.
    ///
    /// A control frame with more than 8 bytes of payload that arrived in several chunks can't be dropped any
    /// more: it passes, whatever the verdict.
    pub(crate) fn filter<'a>(
        &mut self,
        chunk: &'a [u8],
        mut inspect: impl FnMut(&Event) -> Verdict,
    ) -> Filtered<'a> {
        let withheld = self.withheld();
        for event in self.parser.parse(chunk) {
            if inspect(&event) == Verdict::Pass {
                continue;
            }
            let (withheld, before) = match event.start {
                Some(start) => (withheld, start),
                None if !withheld.is_empty() => (PartialFrame::default(), 0),
                None => continue,
            };
            return Filtered {
                withheld,
                bytes: &chunk[..before],
                rest: &chunk[event.end..],
                dropped: Some(event),
            };
        }
        let (withheld, bytes) = match chunk.len().checked_sub(self.withheld().as_bytes().len()) {
            Some(end) => (withheld, &chunk[..end]),
            // The frame that was withheld is still incomplete.
            None => (PartialFrame::default(), &[][..]),
        };
        Filtered { withheld, bytes, rest: &[], dropped: None }
    }

    /// The bytes withheld so far, to be written when the stream ends here.
    pub(crate) fn withheld(&self) -> PartialFrame {
        if self.withholds { self.parser.partial() } else { PartialFrame::default() }
    }

    /// A parser at the end of the output, before the withheld bytes.
    pub(crate) fn output(&self) -> FrameParser {
        let mut parser = self.parser;
        if !self.withheld().is_empty() {
            parser.discard_partial();
        }
        parser
    }

    /// Returns true if the next byte of the input begins a message.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.parser.at_boundary(Boundary::Message)
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
