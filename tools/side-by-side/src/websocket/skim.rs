//! Counting a long row of frames without holding one of them whole.

use super::{
    frame::{self, Head},
    inbox::Inbox,
    message::{FIRST, last},
};

/// Where in a row of binary frames a reader is.
#[derive(Debug, Default)]
pub(crate) struct Skim {
    /// Bytes of payload seen so far.
    pub(crate) payload: u64,
    /// The frame it is in, and how much of its payload has passed.
    within: Option<(Head, usize)>,
}

impl Skim {
    /// Consumes what is there. Each frame's first and last byte are looked at.
    pub(crate) fn pass(&mut self, inbox: &mut Inbox) -> Result<(), String> {
        loop {
            let bytes = inbox.bytes();
            let Some((head, passed)) = self.within else {
                let Some(head) = Head::parse(bytes)? else { return Ok(()) };
                if head.opcode != frame::BINARY {
                    return Err(format!("a frame with opcode {} among the data", head.opcode));
                }
                inbox.consume(head.size);
                self.within = (head.payload > 0).then_some((head, 0));
                continue;
            };
            let count = bytes.len().min(head.payload - passed);
            if count == 0 {
                return Ok(());
            }
            let shown = |at: usize| bytes[at] ^ head.key.map_or(0, |key| key[(passed + at) % 4]);
            let starts_wrong = passed == 0 && shown(0) != FIRST;
            let ends = passed + count == head.payload;
            if starts_wrong || ends && shown(count - 1) != last(head.payload) {
                return Err("a frame with other bytes than were sent".to_owned());
            }
            inbox.consume(count);
            self.payload += count as u64;
            self.within = (!ends).then_some((head, passed + count));
        }
    }
}
