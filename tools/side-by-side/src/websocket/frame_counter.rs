//! Counter for the payload of a long stream of frames, without buffering whole frames.

use super::{
    frame::{self, FrameHeader},
    message::{FIRST, last},
    read_buffer::ReadBuffer,
};

/// Position in a stream of binary frames.
#[derive(Debug, Default)]
pub(crate) struct FrameCounter {
    /// Payload bytes so far.
    pub(crate) payload: u64,
    /// Header of the current frame, and its payload bytes so far.
    current: Option<(FrameHeader, usize)>,
}

impl FrameCounter {
    /// Consumes all bytes in the buffer. The first and last payload byte of each frame are verified.
    pub(crate) fn consume(&mut self, buffer: &mut ReadBuffer) -> Result<(), String> {
        loop {
            let bytes = buffer.bytes();
            let Some((header, counted)) = self.current else {
                let Some(header) = frame::header(bytes)? else { return Ok(()) };
                if header.first != frame::BINARY {
                    return Err(format!("a frame with opcode {} among the data", header.opcode()));
                }
                buffer.consume(header.size);
                self.current = (header.length > 0).then_some((header, 0));
                continue;
            };
            let length = header.total() - header.size;
            let count = bytes.len().min(length - counted);
            if count == 0 {
                return Ok(());
            }
            let unmasked = |at: usize| bytes[at] ^ header.key.map_or(0, |key| key[(counted + at) % 4]);
            let starts_wrong = counted == 0 && unmasked(0) != FIRST;
            let ends = counted + count == length;
            if starts_wrong || ends && unmasked(count - 1) != last(length) {
                return Err("a frame differs from the sent one".to_owned());
            }
            buffer.consume(count);
            self.payload += count as u64;
            self.current = (!ends).then_some((header, counted + count));
        }
    }
}
