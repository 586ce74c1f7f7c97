//! Control frames sent by the proxy.

use std::fmt;

use super::{
    close_code::CloseCode,
    header::{FIN, MASKED, MAX_CONTROL, Opcode},
};

/// Masking of a frame. All frames of a client are masked
/// ([RFC 6455, 5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// From a server to a client.
    None,
    /// From a client to a server. The key should not be predictable.
    Key([u8; 4]),
}

/// An encoded control frame
/// ([RFC 6455, 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
#[derive(Clone, Copy)]
pub(crate) struct ControlFrame {
    bytes: [u8; Self::MAX],
    length: u8,
}

impl ControlFrame {
    /// Size of the longest control frame in bytes: two, the masking key, the payload.
    pub(crate) const MAX: usize = 2 + 4 + MAX_CONTROL;

    /// A Close. The reason is truncated at a character boundary to at most 123 bytes.
    pub(crate) fn close(code: CloseCode, reason: &str, mask: Mask) -> Self {
        let room = reason.len().min(MAX_CONTROL - 2);
        let end = (0..=room).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        let code = code.get().to_be_bytes();
        Self::new(Opcode::Close, code.into_iter().chain(reason[..end].bytes()), mask)
    }

    /// A Ping. The payload is truncated to 125 bytes. Only the Pong to a payload of
    /// [`Payload::FIRST`](super::Payload::FIRST) bytes can be recognised and dropped.
    pub(crate) fn ping(payload: &[u8], mask: Mask) -> Self {
        Self::new(Opcode::Ping, payload.iter().copied(), mask)
    }

    /// A control frame with the first 125 bytes of `payload`.
    pub(super) fn new(opcode: Opcode, payload: impl Iterator<Item = u8>, mask: Mask) -> Self {
        let mut bytes = [0; Self::MAX];
        let (bit, key, start) = match mask {
            Mask::None => (0, [0; 4], 2),
            Mask::Key(key) => (MASKED, key, 6),
        };
        bytes[2..6].copy_from_slice(&key);
        let mut length = 0;
        for ((byte, key), to) in
            payload.zip(key.into_iter().cycle()).zip(&mut bytes[start..start + MAX_CONTROL])
        {
            *to = byte ^ key;
            length += 1;
        }
        bytes[0] = FIN | opcode as u8;
        bytes[1] = bit | length;
        Self { bytes, length: start as u8 + length }
    }

    /// The encoded bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for ControlFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ControlFrame").field(&self.as_bytes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Mask = Mask::Key([0x37, 0xfa, 0x21, 0x3d]);

    #[test]
    fn frames_are_encoded_like_the_examples_of_rfc_6455() {
        let close = |mask| ControlFrame::close(CloseCode::GOING_AWAY, "Hi", mask);
        let table = [
            (ControlFrame::ping(b"Hello", Mask::None), &b"\x89\x05Hello"[..]),
            (
                ControlFrame::new(Opcode::Pong, b"Hello".iter().copied(), KEY),
                b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
            ),
            (ControlFrame::ping(b"", Mask::None), b"\x89\x00"),
            (ControlFrame::ping(b"", KEY), b"\x89\x80\x37\xfa\x21\x3d"),
            (close(Mask::None), b"\x88\x04\x03\xe9Hi"),
            (close(KEY), b"\x88\x84\x37\xfa\x21\x3d\x34\x13\x69\x54"),
        ];
        for (frame, bytes) in table {
            assert_eq!(frame.as_bytes(), bytes);
        }
    }

    #[test]
    fn long_payloads_are_truncated() {
        let long = "x".repeat(200);
        for (mask, size) in [(Mask::None, 127), (KEY, ControlFrame::MAX)] {
            let frames = [
                ControlFrame::close(CloseCode::NORMAL, &long, mask),
                ControlFrame::ping(long.as_bytes(), mask),
            ];
            assert!(frames.iter().all(|frame| frame.as_bytes().len() == size));
        }
    }

    #[test]
    fn reasons_are_truncated_at_a_character_boundary() {
        let table = [("é".repeat(62), 122), (format!("x{}", "é".repeat(62)), 123), ("🦀".repeat(31), 120)];
        for (reason, kept) in table {
            let frame = ControlFrame::close(CloseCode::NORMAL, &reason, Mask::None);
            assert_eq!(&frame.as_bytes()[4..], &reason.as_bytes()[..kept]);
        }
    }
}
