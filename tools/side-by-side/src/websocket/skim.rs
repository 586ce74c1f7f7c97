//! Counting a long row of frames without holding one of them whole.

use super::{
    frame::{self, FrameHeader},
    inbox::Inbox,
    message::{FIRST, last},
};

/// Where in a row of binary frames a reader is.
#[derive(Debug, Default)]
pub(crate) struct Skim {
    /// Bytes of payload seen so far.
    pub(crate) payload: u64,
    /// The frame it is in, and how much of its payload has passed.
    within: Option<(FrameHeader, usize)>,
}

impl Skim {
    /// Consumes what is there. Each frame's first and last byte are looked at.
    pub(crate) fn pass(&mut self, inbox: &mut Inbox) -> Result<(), String> {
        loop {
            let bytes = inbox.bytes();
            let Some((header, passed)) = self.within else {
                let Some(header) = frame::header(bytes)? else { return Ok(()) };
                if header.first != frame::BINARY {
                    return Err(format!("a frame with opcode {} among the data", header.opcode()));
                }
                inbox.consume(header.size);
                self.within = (header.length > 0).then_some((header, 0));
                continue;
            };
            let length = header.total() - header.size;
            let count = bytes.len().min(length - passed);
            if count == 0 {
                return Ok(());
            }
            let shown = |at: usize| bytes[at] ^ header.key.map_or(0, |key| key[(passed + at) % 4]);
            let starts_wrong = passed == 0 && shown(0) != FIRST;
            let ends = passed + count == length;
            if starts_wrong || ends && shown(count - 1) != last(length) {
                return Err("a frame with other bytes than were sent".to_owned());
            }
            inbox.consume(count);
            self.payload += count as u64;
            self.within = (!ends).then_some((header, passed + count));
        }
    }
}
