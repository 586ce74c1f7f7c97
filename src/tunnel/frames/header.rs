//! A frame's header, and what makes it invalid.

use std::fmt;

/// The last frame of a message; control frames have it always.
pub(super) const FIN: u8 = 0x80;
/// In the second byte: a key stands before the payload.
pub(super) const MASKED: u8 = 0x80;
/// In the second byte: the length, or what form it has.
pub(super) const LENGTH: u8 = 0x7f;
/// Bytes of the longest payload of a control frame.
pub(super) const MAX_CONTROL: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Opcode {
    /// Goes on with a message.
    Continuation = 0x0,
    /// Begins a message of text.
    Text = 0x1,
    /// Begins a message of bytes.
    Binary = 0x2,
    /// Ends what its sender has to say.
    Close = 0x8,
    /// Asks for a Pong.
    Ping = 0x9,
    /// Answers a Ping, or none.
    Pong = 0xa,
}

impl Opcode {
    pub(super) fn of(first: u8) -> Option<Self> {
        Some(match first & 0x0f {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    pub(super) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// Why a frame is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProtocolError {
    /// No opcode of RFC 6455.
    ReservedOpcode,
    /// A control frame without FIN.
    FragmentedControl,
    /// A control frame above 125 bytes.
    LongControl,
    /// A Close with half a code.
    ShortClose,
    /// A length of 2^63 bytes or more.
    Length,
    /// A continuation where no message was begun.
    NothingToContinue,
    /// A new message where another is not finished.
    UnfinishedMessage,
}

impl ProtocolError {
    /// In words, for a log or the reason of a Close.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::ReservedOpcode => "reserved opcode",
            Self::FragmentedControl => "fragmented control frame",
            Self::LongControl => "control frame longer than 125 bytes",
            Self::ShortClose => "Close with a payload of one byte",
            Self::Length => "length with its top bit set",
            Self::NothingToContinue => "continuation without a message",
            Self::UnfinishedMessage => "new message within an unfinished one",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// A complete header.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    pub(super) is_masked: bool,
    /// Bytes of the payload.
    pub(super) length: u64,
    /// Bytes of the header itself.
    pub(super) size: usize,
}

impl FrameHeader {
    /// Bytes of the longest one.
    pub(super) const MAX: usize = 2 + 8 + 4;

    /// The header at the beginning of `bytes`; `None` as long as it is not complete. `within_message` says
    /// that a message has begun. The reserved bits are an extension's
    /// ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
    ///
    /// # Errors
    ///
    /// As soon as the bytes that are there can't begin a valid frame: with the second byte, or with the
    /// last of the length.
    #[inline]
    pub(super) fn parse(bytes: &[u8], within_message: bool) -> Result<Option<Self>, ProtocolError> {
        let [first, second, behind @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::of(*first).ok_or(ProtocolError::ReservedOpcode)?;
        let is_final = first & FIN != 0;
        let short = second & LENGTH;
        match opcode {
            Opcode::Continuation if !within_message => return Err(ProtocolError::NothingToContinue),
            Opcode::Text | Opcode::Binary if within_message => return Err(ProtocolError::UnfinishedMessage),
            _ if !opcode.is_control() => {}
            _ if !is_final => return Err(ProtocolError::FragmentedControl),
            _ if usize::from(short) > MAX_CONTROL => return Err(ProtocolError::LongControl),
            Opcode::Close if short == 1 => return Err(ProtocolError::ShortClose),
            _ => {}
        }
        let (length, extended) = match short {
            126 => (behind.first_chunk().map(|length| u64::from(u16::from_be_bytes(*length))), 2),
            127 => (behind.first_chunk().map(|length| u64::from_be_bytes(*length)), 8),
            _ => (Some(u64::from(short)), 0),
        };
        let Some(length) = length else { return Ok(None) };
        if length >> 63 != 0 {
            return Err(ProtocolError::Length);
        }
        let is_masked = second & MASKED != 0;
        let size = 2 + extended + if is_masked { 4 } else { 0 };
        Ok((bytes.len() >= size).then_some(Self { opcode, is_final, is_masked, length, size }))
    }
}
