//! A message that is sent again and again.

use super::frame;

/// A binary message, as a client sends it and as it comes back.
#[derive(Debug)]
pub(crate) struct Message {
    /// The client's frame, masked.
    pub(crate) frame: Vec<u8>,
    /// What a server must send back.
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn new(length: usize) -> Self {
        let payload = pattern(length);
        Self { frame: frame::client(frame::BINARY, &payload), payload }
    }
}

/// Bytes that start and end with known ones, of a period that fits into no power of two.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| FIRST.wrapping_add((at % 251) as u8)).collect()
}

/// The first byte of a [`pattern`].
pub(crate) const FIRST: u8 = 7;

/// The last byte of a [`pattern`] of this length.
pub(crate) fn last(length: usize) -> u8 {
    FIRST.wrapping_add((length.saturating_sub(1) % 251) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_ends_as_last_says() {
        for length in [1, 125, 252, 65_536] {
            let bytes = pattern(length);
            assert_eq!((bytes[0], bytes[length - 1]), (FIRST, last(length)));
        }
    }
}
