//! Bytes that the writer has not accepted yet.
//!
//! They are in a box that exists only while there are any: most tunnels have none for most of their life.

use std::ops::Range;

use bytes::{Buf, Bytes};

use super::frame_relay::Rewritten;

/// Bytes to be written. Injected ones are not counted.
#[derive(Debug)]
pub(super) struct Pending {
    bytes: Bytes,
    injected: Range<usize>,
}

impl Pending {
    /// Bytes of which a part was injected; `None` if there are none.
    pub(super) fn rewritten(rewritten: Rewritten) -> Option<Box<Self>> {
        let Rewritten { bytes, injected } = rewritten;
        (!bytes.is_empty()).then(|| Box::new(Self { bytes: bytes.into(), injected }))
    }

    /// Bytes of the reader; `None` if there are none.
    pub(super) fn relayed(bytes: Bytes) -> Option<Box<Self>> {
        // An empty `Bytes` can still keep a large buffer alive.
        (!bytes.is_empty()).then(|| Box::new(Self { bytes, injected: 0..0 }))
    }

    /// Appends bytes of the reader.
    pub(super) fn append(&mut self, relayed: &[u8]) {
        if !relayed.is_empty() {
            self.bytes = [&self.bytes, relayed].concat().into();
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes `written` bytes from the beginning. Returns how many of them were relayed.
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
    fn injected_bytes_are_not_counted() {
        for injected in [0..0, 0..3, 2..5, 5..8, 0..8] {
            for size in 1..=8 {
                let rewritten = Rewritten { bytes: vec![0; 8], injected: injected.clone() };
                let mut pending = Pending::rewritten(rewritten).unwrap();
                let mut relayed = 0;
                while !pending.as_bytes().is_empty() {
                    relayed += pending.advance(size.min(pending.as_bytes().len()));
                }
                assert_eq!(relayed, 8 - injected.len(), "{injected:?} in writes of {size}");
            }
        }
    }
}
