//! Frames as bytes ([RFC 9113, 4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)), and header blocks.

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::wire::bounded;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The preface, and SETTINGS without a setting.
pub const PREFACE_AND_SETTINGS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Types of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Error codes ([RFC 9113, 7](https://www.rfc-editor.org/rfc/rfc9113#section-7)).
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const HTTP_1_1_REQUIRED: u32 = 13;

/// `SETTINGS_ENABLE_CONNECT_PROTOCOL`.
pub const CONNECT_PROTOCOL: (u16, u32) = (8, 1);

/// `SETTINGS_MAX_CONCURRENT_STREAMS`.
pub const fn max_streams(most: u32) -> (u16, u32) {
    (3, most)
}

/// A frame with its payload undecoded.
pub struct RawFrame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// Reads the next frame; `None` at the end of the connection, a reset included.
    pub async fn read<S: AsyncRead + Unpin>(from: &mut S) -> Option<Self> {
        let mut head = [0; 9];
        bounded("a frame", from.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        bounded("the payload of a frame", from.read_exact(&mut payload)).await.ok()?;
        Some(Self { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The number at offset `at` of the payload.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// Bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Payload of SETTINGS.
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let bytes = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    settings.iter().flat_map(bytes).collect()
}

/// Header block with `:status: 200` ([RFC 7541, A](https://www.rfc-editor.org/rfc/rfc7541#appendix-A)).
pub const OK: &[u8] = b"\x88";

/// Header block of literals that are not indexed ([RFC 7541, 6.2.2](https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2)).
pub fn literal_fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.bytes());
        }
    }
    block
}

/// A field `x` with a value of `length` bytes, more than 127.
pub fn long_field(length: usize) -> Vec<u8> {
    let (mut field, mut rest) = (b"\x00\x01x\x7f".to_vec(), length - 127);
    while rest > 127 {
        field.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    field.push(rest as u8);
    field.resize(field.len() + length, b'v');
    field
}

/// Header block of an extended CONNECT for `websocket` to `https://a.example/chat`.
pub fn websocket() -> Vec<u8> {
    literal_fields(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "a.example"),
        ("sec-websocket-version", "13"),
    ])
}

/// The status at the start of a header block ([RFC 7541, A](https://www.rfc-editor.org/rfc/rfc7541#appendix-A)): an
/// entry of the static table, or 501 or 502 in Huffman coding.
pub fn status(block: &[u8]) -> Option<u16> {
    match block {
        [0x88, ..] => Some(200),
        [0x8c, ..] => Some(400),
        [0x8d, ..] => Some(404),
        [0x8e, ..] => Some(500),
        [0x48, 0x82, 0x6c, 0x01, ..] => Some(501),
        [0x48, 0x82, 0x6c, 0x02, ..] => Some(502),
        _ => None,
    }
}
