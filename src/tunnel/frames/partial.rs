//! The first bytes of a frame.

use std::fmt;

use super::{
    frame::{Frame, Payload},
    header::{FIN, FrameHeader, LENGTH, MASKED, Opcode},
};

/// The first bytes of a frame as received: a header, or a control frame up to 8 bytes of payload.
#[derive(Clone, Copy, Default)]
pub(crate) struct PartialFrame {
    bytes: [u8; FrameHeader::MAX],
    filled: u8,
}

/// A masked control frame with 8 bytes of payload fits.
const _: () = assert!(FrameHeader::MAX == 2 + 4 + Payload::FIRST);

impl PartialFrame {
    /// The bytes received.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.filled)]
    }

    /// Returns true at a boundary.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Discards the bytes, at the end of a frame.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Appends as many of `bytes` as fit.
    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let at = usize::from(self.filled);
        let taken = bytes.len().min(FrameHeader::MAX - at);
        self.bytes[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken as u8;
    }

    /// Replaces the complete header of a data frame by its first byte: the rest is not needed any more.
    #[inline]
    pub(super) fn set_first(&mut self, byte: u8) {
        self.bytes[0] = byte;
        self.filled = 1;
    }

    /// Returns true within a control frame. Unspecified at a boundary.
    #[inline]
    pub(super) fn is_control(&self) -> bool {
        self.bytes[0] & 0x8 != 0
    }

    /// Returns true within a Close. Unspecified at a boundary.
    #[inline]
    pub(super) fn is_close(&self) -> bool {
        Opcode::of(self.bytes[0]) == Some(Opcode::Close)
    }

    /// Returns true if the frame is masked. Requires a complete header of a control frame.
    pub(super) fn is_masked(&self) -> bool {
        self.bytes[1] & MASKED != 0
    }

    /// Returns true within the last frame of a message. Unspecified at a boundary.
    #[inline]
    pub(super) fn is_final(&self) -> bool {
        self.bytes[0] & FIN != 0
    }

    /// Returns true if this is a control frame that fits completely. Requires a complete header.
    pub(super) fn fits(&self) -> bool {
        self.is_control() && usize::from(self.bytes[1] & LENGTH) <= Payload::FIRST
    }

    /// The control frame that begins with these bytes. Requires that all of it has arrived.
    pub(super) fn control(&self) -> Frame {
        let (header, key) = match self.bytes {
            [_, _, a, b, c, d, ..] if self.is_masked() => (6, [a, b, c, d]),
            _ => (2, [0; 4]),
        };
        let length = self.bytes[1] & LENGTH;
        let mut first = [0; Payload::FIRST];
        let masked = self.bytes[header..].iter().take(usize::from(length));
        for (to, (byte, key)) in first.iter_mut().zip(masked.zip(key.iter().cycle())) {
            *to = byte ^ key;
        }
        match Opcode::of(self.bytes[0]) {
            Some(Opcode::Close) => {
                Frame::Close((length >= 2).then(|| u16::from_be_bytes([first[0], first[1]])))
            }
            Some(Opcode::Ping) => Frame::Ping(Payload { first, length }),
            _ => Frame::Pong(Payload { first, length }),
        }
    }
}

impl fmt::Debug for PartialFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartialFrame").field(&self.as_bytes()).finish()
    }
}
