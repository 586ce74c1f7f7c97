//! Reference decoder of complete streams, written for simplicity.

use super::super::{Boundary, Event, Frame, Payload, ProtocolError, frame::Data, header::Opcode};

/// A frame, or the part of it that the stream contains.
pub(super) struct Read {
    pub(super) is_masked: bool,
    pub(super) start: usize,
    /// Offset of the payload.
    pub(super) payload: usize,
    pub(super) end: usize,
    pub(super) opcode: u8,
    pub(super) is_final: bool,
    /// The payload in the stream, unmasked.
    pub(super) bytes: Vec<u8>,
    /// Payload length of the message so far.
    message: u64,
}

/// Everything that the parser can report about a stream.
#[derive(Default)]
pub(super) struct Decoded {
    pub(super) frames: Vec<Read>,
    /// The invalid frame: its offset, the offset after the bytes that make it invalid, and the error.
    pub(super) invalid: Option<(usize, usize, ProtocolError)>,
    pub(super) length: usize,
}

pub(super) fn decode(stream: &[u8]) -> Decoded {
    let mut decoded = Decoded { length: stream.len(), ..Decoded::default() };
    let mut message: Option<u64> = None;
    let mut start = 0;
    while stream.len() >= start + 2 {
        let (first, second) = (stream[start], stream[start + 1]);
        let (opcode, is_final) = (first & 15, first >> 7 == 1);
        let is_control = opcode > 7;
        let short = second & 127;
        let error = match opcode {
            3..=7 | 11..=15 => Some(ProtocolError::ReservedOpcode),
            0 if message.is_none() => Some(ProtocolError::NothingToContinue),
            1 | 2 if message.is_some() => Some(ProtocolError::UnfinishedMessage),
            8.. if !is_final => Some(ProtocolError::FragmentedControl),
            8.. if short > 125 => Some(ProtocolError::LongControl),
            8 if short == 1 => Some(ProtocolError::ShortClose),
            _ => None,
        };
        if let Some(error) = error {
            decoded.invalid = Some((start, start + 2, error));
            break;
        }
        let digits = [2, 8].get(usize::from(short).wrapping_sub(126)).copied().unwrap_or(0);
        let key_at = start + 2 + digits;
        let payload = key_at + if second >> 7 == 1 { 4 } else { 0 };
        let Some(digits) = stream.get(start + 2..key_at) else { break };
        let length = match digits {
            [] => u64::from(short),
            _ => digits.iter().fold(0, |length, digit| length << 8 | u64::from(*digit)),
        };
        if length > i64::MAX as u64 {
            decoded.invalid = Some((start, key_at, ProtocolError::Length));
            break;
        }
        let Some(key) = stream.get(key_at..payload) else { break };
        let end = payload.saturating_add(length as usize);
        let bytes = stream[payload..end.min(stream.len())]
            .iter()
            .enumerate()
            .map(|(at, byte)| byte ^ key.get(at % 4).unwrap_or(&0))
            .collect();
        let so_far = message.unwrap_or(0).saturating_add(length);
        if !is_control {
            message = (!is_final).then_some(so_far);
        }
        let is_masked = !key.is_empty();
        decoded.frames.push(Read {
            is_masked,
            start,
            payload,
            end,
            opcode,
            is_final,
            bytes,
            message: so_far,
        });
        start = end;
        if end > stream.len() || opcode == 8 {
            break;
        }
    }
    decoded
}

impl Read {
    pub(super) fn is_control(&self) -> bool {
        self.opcode > 7
    }

    fn event(&self) -> Event {
        let mut first = [0; 8];
        first.iter_mut().zip(&self.bytes).for_each(|(to, byte)| *to = *byte);
        let payload = Payload { first, length: self.bytes.len() as u8 };
        let frame = match self.opcode {
            8 if self.bytes.is_empty() => Frame::Close(None),
            8 => Frame::Close(Some(u16::from(first[0]) * 256 + u16::from(first[1]))),
            9 => Frame::Ping(payload),
            10 => Frame::Pong(payload),
            _ => Frame::Data(Data {
                opcode: [Opcode::Continuation, Opcode::Text, Opcode::Binary][usize::from(self.opcode)],
                is_final: self.is_final,
                length: (self.end - self.payload) as u64,
                message_length: self.message,
            }),
        };
        Event { start: Some(self.start), end: self.event_end(), is_masked: self.is_masked, frame }
    }

    /// Offset at which the event is reported.
    fn event_end(&self) -> usize {
        if self.is_control() { self.end } else { self.payload }
    }
}

impl Decoded {
    /// The events with their offsets in the stream.
    pub(super) fn events(&self) -> Vec<Event> {
        let frames = self.frames.iter().filter(|frame| frame.event_end() <= self.length).map(Read::event);
        let invalid = self.invalid.map(|(start, end, error)| Event {
            start: Some(start),
            end,
            is_masked: false,
            frame: Frame::Invalid(error),
        });
        frames.chain(invalid).collect()
    }

    /// Offsets at which a control frame may be inserted.
    pub(super) fn boundaries(&self, kind: Boundary) -> Vec<usize> {
        let mut within_message = false;
        let ends = self.frames.iter().filter(|frame| frame.opcode != 8).filter_map(|frame| {
            within_message = if frame.is_control() { within_message } else { !frame.is_final };
            (kind == Boundary::Frame || !within_message).then_some(frame.end)
        });
        [0].into_iter().chain(ends).filter(|end| *end <= self.length).collect()
    }

    /// Remaining payload of a data frame at an offset.
    pub(super) fn remaining(&self, at: usize) -> u64 {
        let mut data = self.frames.iter().filter(|frame| !frame.is_control());
        let current = data.find(|frame| frame.payload <= at && at < frame.end);
        current.map_or(0, |frame| (frame.end - at) as u64)
    }

    /// Number of complete messages at an offset.
    pub(super) fn messages_at(&self, at: usize) -> u64 {
        let last = |frame: &&Read| !frame.is_control() && frame.is_final && frame.end <= at;
        self.frames.iter().filter(last).count() as u64
    }

    /// The complete messages: opcode and payload.
    #[cfg(test)]
    pub(super) fn messages(&self) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        let mut current: Option<(u8, Vec<u8>)> = None;
        let complete = self.frames.iter().filter(|frame| frame.end <= self.length);
        for frame in complete.filter(|frame| !frame.is_control()) {
            let message = current.get_or_insert((frame.opcode, Vec::new()));
            message.1.extend(&frame.bytes);
            if frame.is_final {
                messages.extend(current.take());
            }
        }
        messages
    }

    /// The complete control frames: opcode and payload.
    #[cfg(test)]
    pub(super) fn controls(&self) -> Vec<(u8, Vec<u8>)> {
        let complete = self.frames.iter().filter(|frame| frame.end <= self.length && frame.is_control());
        complete.map(|frame| (frame.opcode, frame.bytes.clone())).collect()
    }
}
