//! Bytes that a writer did not take yet.

use std::ops::Range;

use bytes::{Buf, Bytes};

use super::frame_relay::Rewritten;

/// Bytes to be written, and which of them are ours and count for nobody.
#[derive(Debug)]
pub(super) struct Pending {
    bytes: Bytes,
    injected: Range<usize>,
}

impl Pending {
    /// `None` when there is nothing to be written.
    pub(super) fn of(rewritten: Rewritten) -> Option<Box<Self>> {
        let Rewritten { bytes, injected } = rewritten;
        (!bytes.is_empty()).then(|| Box::new(Self { bytes: bytes.into(), injected }))
    }

    /// All of it from the other side.
    pub(super) fn relayed(bytes: Bytes) -> Option<Box<Self>> {
        // An empty `Bytes` can still keep a large buffer alive.
        (!bytes.is_empty()).then(|| Box::new(Self { bytes, injected: 0..0 }))
    }

    /// More of the other side's.
    pub(super) fn append(&mut self, relayed: &[u8]) {
        if !relayed.is_empty() {
            self.bytes = [&self.bytes, relayed].concat().into();
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// So much was written. Returns how much of it was the other side's.
    pub(super) fn advance(&mut self, written: usize) -> usize {
        let Range { start, end } = self.injected;
        self.bytes.advance(written);
        self.injected = start.saturating_sub(written)..end.saturating_sub(written);
        written - (end.min(written) - start.min(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_does_not_count_however_it_is_written() {
        for injected in [0..0, 0..3, 2..5, 5..8, 0..8] {
            for piece in 1..=8 {
                let rewritten = Rewritten { bytes: vec![0; 8], injected: injected.clone() };
                let mut pending = Pending::of(rewritten).unwrap();
                let mut relayed = 0;
                while !pending.as_bytes().is_empty() {
                    relayed += pending.advance(piece.min(pending.as_bytes().len()));
                }
                assert_eq!(relayed, 8 - injected.len(), "{injected:?} in pieces of {piece}");
            }
        }
    }
}
