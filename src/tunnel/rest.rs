//! Bytes that a writer did not take yet.

use std::ops::Range;

use bytes::{Buf, Bytes};

use super::lane::Made;

/// Bytes to be written, and which of them are ours and count for nobody.
#[derive(Debug)]
pub(super) struct Rest {
    bytes: Bytes,
    ours: Range<usize>,
}

impl Rest {
    /// `None` when there is nothing to be written.
    pub(super) fn of(made: Made) -> Option<Box<Self>> {
        let Made { bytes, ours } = made;
        (!bytes.is_empty()).then(|| Box::new(Self { bytes: bytes.into(), ours }))
    }

    /// All of it from the other side.
    pub(super) fn theirs(bytes: Bytes) -> Option<Box<Self>> {
        // An empty `Bytes` can still keep a large buffer alive.
        (!bytes.is_empty()).then(|| Box::new(Self { bytes, ours: 0..0 }))
    }

    /// More of the other side's.
    pub(super) fn append(&mut self, theirs: &[u8]) {
        if !theirs.is_empty() {
            self.bytes = [&self.bytes, theirs].concat().into();
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// So much was written. Returns how much of it was the other side's.
    pub(super) fn advance(&mut self, written: usize) -> usize {
        let Range { start, end } = self.ours;
        self.bytes.advance(written);
        self.ours = start.saturating_sub(written)..end.saturating_sub(written);
        written - (end.min(written) - start.min(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_does_not_count_however_it_is_written() {
        for ours in [0..0, 0..3, 2..5, 5..8, 0..8] {
            for piece in 1..=8 {
                let made = Made { bytes: vec![0; 8], ours: ours.clone() };
                let mut rest = Rest::of(made).unwrap();
                let mut theirs = 0;
                while !rest.as_bytes().is_empty() {
                    theirs += rest.advance(piece.min(rest.as_bytes().len()));
                }
                assert_eq!(theirs, 8 - ours.len(), "{ours:?} in pieces of {piece}");
            }
        }
    }
}
