//! Frames, with the codec of the tests, restricted to single-frame messages.

pub(crate) use test_support::websocket::frame::{BINARY, CLOSE, FrameHeader, TEXT, mask};
use test_support::websocket::frame::{KEY, frame_with};

/// Parses the header at the start of these bytes; `None` if it is incomplete. A fragment or a reserved bit is an error,
/// because all messages of this program are single frames.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<FrameHeader>, String> {
    match bytes {
        [first, _, ..] if first & 0xf0 != 0x80 => {
            Err(format!("frame with first byte {first:#04x}: a fragment, or a reserved bit"))
        }
        _ => Ok(FrameHeader::decode(bytes)),
    }
}

/// Frame of a server.
pub(crate) fn server(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, None)
}

/// Masked frame of a client.
pub(crate) fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, Some(KEY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_length_encodings_are_parsed() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut frame = client(BINARY, &payload);
            let parsed = header(&frame).expect("valid").expect("complete");
            assert_eq!((parsed.first, parsed.key, parsed.length), (BINARY, Some(KEY), length));
            assert_eq!(parsed.total(), frame.len());
            mask(&mut frame[parsed.size..], KEY);
            assert_eq!(&frame[parsed.size..], payload);

            let frame = server(TEXT, &payload);
            let parsed = header(&frame).expect("valid").expect("complete");
            assert_eq!((parsed.first, parsed.key, parsed.total()), (TEXT, None, frame.len()));
        }
    }

    #[test]
    fn partial_headers_are_incomplete() {
        let frame = client(BINARY, &[0; 70_000]);
        for end in 0..14 {
            assert_eq!(header(&frame[..end]), Ok(None), "{end} bytes");
        }
        assert!(header(&[0x02, 0x00]).is_err(), "a fragment");
    }
}
