//! Frame headers and the errors they can have
//! ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).

use std::fmt;

/// FIN, in the first byte: last frame of a message. Always set on control frames.
pub(super) const FIN: u8 = 0x80;
/// MASK, in the second byte: a masking key precedes the payload.
pub(super) const MASKED: u8 = 0x80;
/// Payload length in the second byte: the length itself, or 126 or 127 for an extended length.
pub(super) const LENGTH: u8 = 0x7f;
/// Maximum payload length of a control frame in bytes.
pub(super) const MAX_CONTROL: usize = 125;

/// Frame type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Opcode {
    /// Further frame of a message.
    Continuation = 0x0,
    /// First frame of a text message.
    Text = 0x1,
    /// First frame of a binary message.
    Binary = 0x2,
    /// Last frame of its sender.
    Close = 0x8,
    /// Request for a Pong.
    Ping = 0x9,
    /// Response to a Ping, or an unsolicited heartbeat.
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

/// Reason for which a frame is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ProtocolError {
    /// An opcode that RFC 6455 does not define.
    ReservedOpcode,
    /// A control frame without FIN.
    FragmentedControl,
    /// A control frame of more than 125 bytes.
    LongControl,
    /// A Close with a payload of one byte: half a code.
    ShortClose,
    /// A length of 2^63 bytes or more.
    Length,
    /// A continuation without a message.
    NothingToContinue,
    /// A new message within an unfinished one.
    UnfinishedMessage,
}

impl ProtocolError {
    /// Description for logs and the reason of a Close.
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

/// A complete frame header.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    pub(super) is_masked: bool,
    /// Payload length in bytes.
    pub(super) length: u64,
    /// Size of the header in bytes.
    pub(super) size: usize,
}

impl FrameHeader {
    /// Size of the longest header in bytes.
    pub(super) const MAX: usize = 2 + 8 + 4;

    /// Parses the header at the beginning of `bytes`; `None` while it is incomplete. Within a message only
    /// continuations and control frames are valid. The reserved bits are left to extensions
    /// ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
    ///
    /// # Errors
    ///
    /// As soon as no valid frame can begin with `bytes`: at the second byte, or at the last byte of the
    /// length.
    #[inline]
    pub(super) fn parse(bytes: &[u8], within_message: bool) -> Result<Option<Self>, ProtocolError> {
        let [first, second, tail @ ..] = bytes else { return Ok(None) };
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
            126 => (tail.first_chunk().map(|length| u64::from(u16::from_be_bytes(*length))), 2),
            127 => (tail.first_chunk().map(|length| u64::from_be_bytes(*length)), 8),
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
