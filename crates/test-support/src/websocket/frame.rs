//! Frames as bytes ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)): the one codec of tests and
//! tools. The code under test has its own, and its unit tests have an independent reference
//! (`src/tunnel/frames/tests/reference.rs`).
//!
//! Frames are built without checks, so that tests can send invalid ones; [`decode`] accepts valid framing only.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tower_upgrade_proxy::Side;

/// Bit of the first byte that marks the last frame of a message.
pub const FIN: u8 = 0x80;

/// First bytes of frames that end a message. Without [`FIN`], the message continues.
pub const CONTINUATION: u8 = FIN;
pub const TEXT: u8 = FIN | 1;
pub const BINARY: u8 = FIN | 2;
pub const CLOSE: u8 = FIN | 8;
pub const PING: u8 = FIN | 9;
pub const PONG: u8 = FIN | 10;

/// Key of the frames that [`Frame::encode`] masks.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(first: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { first, payload: payload.into() }
    }

    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, close_payload(code, reason))
    }

    /// The bytes that `from` sends: masked by a client, unmasked by an upstream.
    pub fn encode(&self, from: Side) -> Vec<u8> {
        frame(from, self.first, &self.payload)
    }
}

/// Bytes of a frame that `from` sends: masked by a client, unmasked by an upstream.
pub fn frame(from: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, (from == Side::Client).then_some(KEY))
}

/// Bytes of a frame, masked if there is a key.
pub fn frame_with(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let (header, size) = FrameHeader::new(first, payload.len() as u64, key).to_bytes();
    let mut frame = [&header[..size], payload].concat();
    mask(&mut frame[size..], key.unwrap_or_default());
    frame
}

/// Payload of a Close.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Masks a payload, or unmasks it.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    // Eight bytes at once: measurements of bulk transfers spend no more time here than needed.
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let masked = u64::from_ne_bytes((&*word).try_into().unwrap()) ^ wide;
        word.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Everything of a frame before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub length: u64,
    /// Bytes of the header.
    pub size: usize,
}

impl FrameHeader {
    /// A header with the shortest form of the length.
    pub fn new(first: u8, length: u64, key: Option<[u8; 4]>) -> Self {
        let digits = match length {
            0..126 => 0,
            126..0x1_0000 => 2,
            _ => 8,
        };
        Self { first, key, length, size: 2 + digits + if key.is_some() { 4 } else { 0 } }
    }

    /// The header, at the start of the array, without an allocation.
    pub fn to_bytes(&self) -> ([u8; 14], usize) {
        let mut bytes = [0; 14];
        bytes[0] = self.first;
        bytes[1] = match self.length {
            0..126 => self.length as u8,
            126..0x1_0000 => {
                bytes[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
                126
            }
            _ => {
                bytes[2..10].copy_from_slice(&self.length.to_be_bytes());
                127
            }
        };
        if let Some(key) = self.key {
            bytes[1] |= 0x80;
            bytes[self.size - 4..self.size].copy_from_slice(&key);
        }
        (bytes, self.size)
    }

    /// The header at the start of `bytes`; `None` while it is incomplete.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else { return None };
        let (length, rest) = match second & 0x7f {
            126 => {
                rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length).into(), rest))?
            }
            127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
            length => (length.into(), rest),
        };
        let (key, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => rest.split_first_chunk().map(|(key, rest)| (Some(*key), rest))?,
        };
        Some(Self { first: *first, key, length, size: bytes.len() - rest.len() })
    }

    pub fn opcode(&self) -> u8 {
        self.first & 15
    }

    /// Bytes of the whole frame.
    pub fn total(&self) -> usize {
        self.size.saturating_add(usize::try_from(self.length).unwrap_or(usize::MAX))
    }
}

/// The frame at the start of `stream`, sent by `from`, and its size; `None` while it is incomplete.
pub fn decode_first(from: Side, stream: &[u8]) -> Result<Option<(Frame, usize)>, String> {
    if stream.get(1).is_some_and(|second| (second & 0x80 != 0) != (from == Side::Client)) {
        return Err("masked by the wrong side".to_owned());
    }
    let Some(header) = FrameHeader::decode(stream) else { return Ok(None) };
    let Some(payload) = stream.get(header.size..header.total()) else { return Ok(None) };
    let mut payload = payload.to_vec();
    mask(&mut payload, header.key.unwrap_or_default());
    Ok(Some((Frame { first: header.first, payload }, header.total())))
}

/// The frames of a stream.
pub struct Decoded {
    pub frames: Vec<Frame>,
    /// Start of an incomplete frame.
    pub rest: Vec<u8>,
}

/// Decodes a whole stream sent by `from`; an error if its framing is invalid.
pub fn decode(from: Side, stream: &[u8]) -> Result<Decoded, String> {
    let (mut frames, mut at, mut within_message) = (Vec::new(), 0, false);
    while let Some((frame, size)) = decode_first(from, &stream[at..])? {
        let (opcode, is_final) = (frame.first & 15, frame.first & FIN != 0);
        if frame.first & 0x70 != 0 {
            return Err(format!("reserved bits at {at}"));
        }
        match opcode {
            0 if !within_message => return Err(format!("nothing to continue at {at}")),
            1 | 2 if within_message => return Err(format!("a message within another at {at}")),
            0..=2 => within_message = !is_final,
            8..=10 if !is_final || frame.payload.len() > 125 => {
                return Err(format!("invalid control frame at {at}"));
            }
            8..=10 => {}
            _ => return Err(format!("opcode {opcode} at {at}")),
        }
        at += size;
        let is_close = frame.first == CLOSE;
        frames.push(frame);
        if is_close && at < stream.len() {
            return Err(format!("{} bytes after a Close", stream.len() - at));
        }
    }
    Ok(Decoded { frames, rest: stream[at..].to_vec() })
}

/// Reads the next frame, unmasked, and whether it was masked; `None` at the end of the stream.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(Frame, bool)>> {
    let mut bytes = vec![0];
    if stream.read(&mut bytes).await? == 0 {
        return Ok(None);
    }
    let header = loop {
        if let Some(header) = FrameHeader::decode(&bytes) {
            break header;
        }
        bytes.push(stream.read_u8().await?);
    };
    let mut payload = vec![0; usize::try_from(header.length).map_err(io::Error::other)?];
    stream.read_exact(&mut payload).await?;
    mask(&mut payload, header.key.unwrap_or_default());
    Ok(Some((Frame { first: header.first, payload }, header.key.is_some())))
}

/// Code of a Close, masked or not, if `bytes` are exactly one Close.
pub fn close_code(bytes: &[u8]) -> Option<u16> {
    let header = FrameHeader::decode(bytes)?;
    if header.first != CLOSE || header.total() != bytes.len() {
        return None;
    }
    let mut payload = bytes[header.size..].to_vec();
    mask(&mut payload, header.key.unwrap_or_default());
    payload.first_chunk().map(|code| u16::from_be_bytes(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_form_come_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sent = Frame::new(BINARY, payload);
            for from in [Side::Client, Side::Upstream] {
                let bytes = sent.encode(from);
                assert_eq!(decode_first(from, &bytes), Ok(Some((sent.clone(), bytes.len()))));
                let header = FrameHeader::decode(&bytes).unwrap();
                assert_eq!((header.opcode(), header.key.is_some()), (2, from == Side::Client));
                assert_eq!((header.length, header.total()), (length as u64, bytes.len()));
            }
        }
    }

    #[test]
    fn half_a_header_is_none_yet() {
        let bytes = Frame::new(BINARY, vec![0; 70_000]).encode(Side::Client);
        for end in 0..14 {
            assert_eq!(FrameHeader::decode(&bytes[..end]), None, "{end} bytes");
        }
    }
}
