//! Message that is sent repeatedly.

use super::frame;

/// Binary message: the frame of the client, and the expected echo.
#[derive(Debug)]
pub(crate) struct Message {
    /// Masked frame of the client.
    pub(crate) frame: Vec<u8>,
    /// Payload of the echo.
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn new(length: usize) -> Self {
        let payload = pattern(length);
        Self { frame: frame::client(frame::BINARY, &payload), payload }
    }
}

/// Bytes with a known first and last one. Their period is a prime number, so that no two aligned blocks are equal.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| FIRST.wrapping_add((at % 251) as u8)).collect()
}

/// First byte of a [`pattern`].
pub(crate) const FIRST: u8 = 7;

/// Last byte of a [`pattern`] of this length.
pub(crate) fn last(length: usize) -> u8 {
    FIRST.wrapping_add((length.saturating_sub(1) % 251) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_match_the_pattern() {
        for length in [1, 125, 252, 65_536] {
            let bytes = pattern(length);
            assert_eq!((bytes[0], bytes[length - 1]), (FIRST, last(length)));
        }
    }
}
