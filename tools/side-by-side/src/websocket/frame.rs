//! Frames: the codec of the tests, with the checks of this program.

pub(crate) use test_support::websocket::frame::{BINARY, CLOSE, FrameHeader, TEXT, mask};
use test_support::websocket::frame::{KEY, frame_with};

/// The header at the start of these bytes; `None` while it is incomplete. An error for a fragment or a reserved bit:
/// every message of this program is one frame.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<FrameHeader>, String> {
    match bytes {
        [first, _, ..] if first & 0xf0 != 0x80 => {
            Err(format!("a frame starts with {first:#04x}: a fragment or a reserved bit"))
        }
        _ => Ok(FrameHeader::decode(bytes)),
    }
}

/// A server's frame.
pub(crate) fn server(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, None)
}

/// A client's frame, masked.
pub(crate) fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, Some(KEY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_form_come_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 70_001] {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut frame = client(BINARY, &payload);
            let found = header(&frame).expect("valid").expect("whole");
            assert_eq!((found.first, found.key, found.length), (BINARY, Some(KEY), length));
            assert_eq!(found.total(), frame.len());
            mask(&mut frame[found.size..], KEY);
            assert_eq!(&frame[found.size..], payload);

            let frame = server(TEXT, &payload);
            let found = header(&frame).expect("valid").expect("whole");
            assert_eq!((found.first, found.key, found.total()), (TEXT, None, frame.len()));
        }
    }

    #[test]
    fn half_a_header_is_none_yet() {
        let frame = client(BINARY, &[0; 70_000]);
        for end in 0..14 {
            assert_eq!(header(&frame[..end]), Ok(None), "{end} bytes");
        }
        assert!(header(&[0x02, 0x00]).is_err(), "a fragment");
    }
}
