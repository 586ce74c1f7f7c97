//! Frames, [RFC 6455, section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2).

/// A whole message of text.
pub(crate) const TEXT: u8 = 0x1;
/// A whole message of bytes.
pub(crate) const BINARY: u8 = 0x2;
/// The end.
pub(crate) const CLOSE: u8 = 0x8;

/// The key of every frame that a client sends. Proxies do not look at it.
pub(crate) const KEY: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) opcode: u8,
    pub(crate) key: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub(crate) payload: usize,
    /// Bytes of the head itself.
    pub(crate) size: usize,
}

impl Head {
    /// The head at the start of these bytes, if it is all there. Fragments are none of ours: every message of
    /// this program is one frame.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if first & 0xf0 != 0x80 {
            return Err(format!("a frame starts with {first:#04x}: a fragment or a reserved bit"));
        }
        let (length, rest) = match (second & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), rest),
            (127, [a, b, c, d, e, f, g, h, rest @ ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), rest)
            }
            (126 | 127, _) => return Ok(None),
            (length, rest) => (u64::from(length), rest),
        };
        let (key, rest) = match (second & 0x80 != 0, rest) {
            (false, rest) => (None, rest),
            (true, [a, b, c, d, rest @ ..]) => (Some([*a, *b, *c, *d]), rest),
            (true, _) => return Ok(None),
        };
        let payload = usize::try_from(length).map_err(|_| format!("a frame of {length} bytes"))?;
        Ok(Some(Self { opcode: first & 0x0f, key, payload, size: bytes.len() - rest.len() }))
    }

    /// The whole frame.
    pub(crate) fn total(&self) -> usize {
        self.size.saturating_add(self.payload)
    }
}

/// The head of a server's frame, at the end of the array: its bytes, and where they start.
pub(crate) fn server_head(opcode: u8, payload: usize) -> ([u8; 10], usize) {
    let mut head = [0; 10];
    let start = match payload {
        0..126 => {
            head[9] = payload as u8;
            8
        }
        126..0x1_0000 => {
            head[7] = 126;
            head[8..].copy_from_slice(&(payload as u16).to_be_bytes());
            6
        }
        _ => {
            head[1] = 127;
            head[2..].copy_from_slice(&(payload as u64).to_be_bytes());
            0
        }
    };
    head[start] = 0x80 | opcode;
    (head, start)
}

/// A server's frame.
pub(crate) fn server(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let (head, start) = server_head(opcode, payload.len());
    [&head[start..], payload].concat()
}

/// A client's frame, masked.
pub(crate) fn client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let (mut head, start) = server_head(opcode, payload.len());
    head[start + 1] |= 0x80;
    let mut frame = [&head[start..], &KEY, payload].concat();
    let at = frame.len() - payload.len();
    mask(&mut frame[at..], KEY);
    frame
}

/// Masks, or takes the mask off.
pub(crate) fn mask(payload: &mut [u8], key: [u8; 4]) {
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(wide.to_ne_bytes()) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_form_come_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut frame = client(BINARY, &payload);
            let head = Head::parse(&frame).expect("valid").expect("whole");
            assert_eq!((head.opcode, head.key, head.payload), (BINARY, Some(KEY), length));
            assert_eq!(head.total(), frame.len());
            mask(&mut frame[head.size..], KEY);
            assert_eq!(&frame[head.size..], payload);

            let frame = server(TEXT, &payload);
            let head = Head::parse(&frame).expect("valid").expect("whole");
            assert_eq!((head.opcode, head.key, head.total()), (TEXT, None, frame.len()));
        }
    }

    #[test]
    fn half_a_head_is_none_yet() {
        let frame = client(BINARY, &[0; 70_000]);
        for end in 0..14 {
            assert_eq!(Head::parse(&frame[..end]), Ok(None), "{end} bytes");
        }
        assert!(Head::parse(&[0x02, 0x00]).is_err(), "a fragment");
    }
}
