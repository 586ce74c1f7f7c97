//! Frames found in a chunk.

use super::header::{Opcode, ProtocolError};

/// A frame and its position in the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Offset of the first byte of the frame; `None` when an earlier chunk contained it.
    pub(crate) start: Option<usize>,
    /// Offset after the header of a data frame, after a complete control frame, or after the bytes that
    /// make a frame invalid.
    pub(crate) end: usize,
    /// True if the payload is masked. Unspecified for an invalid frame.
    pub(crate) is_masked: bool,
    /// The frame.
    pub(crate) frame: Frame,
}

/// The parsed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A data frame with a complete header.
    Data(Data),
    /// A complete Close with its code, if any. Codes that must not be sent are reported as well.
    Close(Option<u16>),
    /// A complete Ping.
    Ping(Payload),
    /// A complete Pong.
    Pong(Payload),
    /// An invalid frame. Nothing after it is parsed.
    Invalid(ProtocolError),
}

/// Header of a data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    /// Text, binary or continuation.
    pub(crate) opcode: Opcode,
    /// True for the last frame of a message.
    pub(crate) is_final: bool,
    /// Payload length in bytes.
    pub(crate) length: u64,
    /// Payload length of the message up to and including this frame, as sent: compressed payload is not
    /// decompressed.
    pub(crate) message_length: u64,
}

/// Payload of a Ping or Pong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// The first bytes, unmasked and padded with zeros.
    pub(crate) first: [u8; Self::FIRST],
    /// Length of the whole payload in bytes.
    pub(crate) length: u8,
}

impl Payload {
    /// Number of bytes kept.
    pub(crate) const FIRST: usize = 8;

    /// Returns true if the whole payload equals `payload`.
    pub(crate) fn is(&self, payload: [u8; Self::FIRST]) -> bool {
        usize::from(self.length) == Self::FIRST && self.first == payload
    }
}
