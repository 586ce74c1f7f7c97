//! What a walk meets.

use super::header::{Opcode, ProtocolError};

/// A frame, and where in the chunk it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Where the frame begins; `None` when it began in an earlier chunk.
    pub(crate) start: Option<usize>,
    /// Behind the header of a data frame, behind the whole of a control frame, behind the bytes that
    /// make a frame invalid.
    pub(crate) end: usize,
    /// Whether its payload is masked. Not known of an invalid one.
    pub(crate) is_masked: bool,
    /// The frame.
    pub(crate) frame: Frame,
}

/// What is known of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A data frame, whose header is complete.
    Data(Data),
    /// A complete Close, with the code if it has one. Not every code that comes may be sent.
    Close(Option<u16>),
    /// A complete Ping.
    Ping(Payload),
    /// A complete Pong.
    Pong(Payload),
    /// No valid frame. Nothing behind it is walked.
    Invalid(ProtocolError),
}

/// The header of a data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    /// Text, binary or a continuation of either.
    pub(crate) opcode: Opcode,
    /// Whether it is the last of its message.
    pub(crate) is_final: bool,
    /// Bytes of its payload.
    pub(crate) length: u64,
    /// Bytes of its message so far, its own included. What an extension compressed counts as it is.
    pub(crate) message_length: u64,
}

/// The payload of a Ping or Pong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// Its first bytes, unmasked; zero behind its end.
    pub(crate) first: [u8; Self::FIRST],
    /// Bytes of the whole.
    pub(crate) length: u8,
}

impl Payload {
    /// Bytes that are kept.
    pub(crate) const FIRST: usize = 8;

    /// Whether it is this one and nothing more.
    pub(crate) fn is(&self, payload: [u8; Self::FIRST]) -> bool {
        usize::from(self.length) == Self::FIRST && self.first == payload
    }
}
