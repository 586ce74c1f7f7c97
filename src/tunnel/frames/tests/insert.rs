//! Control frames inserted into a stream.

use proptest::prelude::*;

use super::super::{Boundary, CloseCode, ControlFrame, Filter, FrameParser, Mask, Verdict, header::Opcode};
use super::{
    check::split,
    endpoint::receive,
    reference::decode,
    streams::{Sender, mask, sizes, valid},
};

const PAYLOAD: &[u8] = b"probe-01";

fn sender_and_stream() -> impl Strategy<Value = (Sender, Vec<u8>)> {
    prop_oneof![Just(Sender::Client), Just(Sender::Server), Just(Sender::Odd)]
        .prop_flat_map(|sender| (Just(sender), valid(sender)))
}

/// Inserts a Ping at the last boundary of each chunk.
fn with_pings(stream: &[u8], sizes: &[usize], ping: &ControlFrame) -> (Vec<u8>, usize) {
    let mut parser = FrameParser::new();
    let (mut written, mut pings) = (Vec::new(), 0);
    for (_, chunk) in split(stream, sizes) {
        let at = parser.last_boundary(Boundary::Frame, chunk);
        let (before, after) = chunk.split_at(at.unwrap_or(0));
        written.extend(before);
        if at.is_some() {
            written.extend(ping.as_bytes());
            pings += 1;
        }
        written.extend(after);
        parser.parse(chunk).for_each(drop);
    }
    (written, pings)
}

/// Filters the stream and inserts a Ping after the output of each chunk that ends at a boundary.
fn with_pings_filtered(stream: &[u8], sizes: &[usize], ping: &ControlFrame) -> (Vec<u8>, usize) {
    let mut filter = Filter::new();
    let (mut written, mut pings) = (Vec::new(), 0);
    for (_, chunk) in split(stream, sizes) {
        let output = filter.filter(chunk, |_| Verdict::Pass);
        written.extend(output.withheld.as_bytes());
        written.extend(output.bytes);
        if filter.output().at_boundary(Boundary::Frame) {
            written.extend(ping.as_bytes());
            pings += 1;
        }
    }
    written.extend(filter.withheld().as_bytes());
    (written, pings)
}

/// Checks that both streams carry the same messages and control frames, apart from the inserted Pings.
fn check(sender: Sender, before: &[u8], after: &[u8], pings: usize) -> Result<(), TestCaseError> {
    let (actual, expected) = (decode(after), decode(before));
    prop_assert!(actual.invalid.is_none());
    prop_assert_eq!(actual.messages(), expected.messages());
    let mut controls = actual.controls();
    controls.retain(|(opcode, payload)| *opcode != 9 || payload != PAYLOAD);
    prop_assert_eq!(controls.len() + pings, actual.controls().len());
    prop_assert_eq!(controls, expected.controls());
    if sender != Sender::Odd {
        let mut received = receive(sender, after).map_err(TestCaseError::fail)?;
        let total = received.len();
        received.retain(|message| !message.is_ping() || message.clone().into_data() != PAYLOAD);
        prop_assert_eq!(received.len() + pings, total);
        prop_assert_eq!(received, receive(sender, before).map_err(TestCaseError::fail)?);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_ping_at_a_boundary_changes_no_message(
        (sender, stream) in sender_and_stream(),
        sizes in sizes(),
        key: [u8; 4],
    ) {
        let ping = ControlFrame::ping(PAYLOAD, mask(sender, key));
        let (written, pings) = with_pings(&stream, &sizes, &ping);
        check(sender, &stream, &written, pings)?;
    }

    #[test]
    fn a_ping_after_filtered_output_changes_no_message(
        (sender, stream) in sender_and_stream(),
        sizes in sizes(),
        key: [u8; 4],
    ) {
        let ping = ControlFrame::ping(PAYLOAD, mask(sender, key));
        let (written, pings) = with_pings_filtered(&stream, &sizes, &ping);
        check(sender, &stream, &written, pings)?;
    }

    #[test]
    fn encoded_control_frames_are_decoded_again(
        payload in prop::collection::vec(any::<u8>(), 0..=125),
        reason in "\\PC{0,60}",
        code in 3000..5000_u16,
        key in prop::option::of(any::<[u8; 4]>()),
    ) {
        let mask = key.map_or(Mask::None, Mask::Key);
        let code = CloseCode::new(code).unwrap();
        let frames = [
            ControlFrame::ping(&payload, mask),
            ControlFrame::new(Opcode::Pong, payload.iter().copied(), mask),
            ControlFrame::close(code, &reason, mask),
        ];
        let stream: Vec<u8> = frames.iter().flat_map(|frame| frame.as_bytes().to_vec()).collect();
        let controls = decode(&stream).controls();
        prop_assert_eq!(&controls[..2], [(9, payload.clone()), (10, payload)]);
        let (code_bytes, kept) = controls[2].1.split_at(2);
        prop_assert_eq!(code_bytes, code.get().to_be_bytes());
        let kept = std::str::from_utf8(kept).unwrap();
        prop_assert!(reason.starts_with(kept) && (kept == reason || kept.len() > 119));
        let sender = if key.is_some() { Sender::Client } else { Sender::Server };
        prop_assert_eq!(receive(sender, &stream).map_err(TestCaseError::fail)?.len(), 3);
    }
}
