//! Control frames of our own, put between those of a stream.

use proptest::prelude::*;

use super::super::{CloseCode, ControlFrame, Filter, FrameParser, Mask, Verdict, header::Opcode};
use super::{
    check::split,
    endpoint::receive,
    reference::decode,
    streams::{Sender, mask, sizes, valid},
};

const PROBE: &[u8] = b"probe-01";

fn sender_and_stream() -> impl Strategy<Value = (Sender, Vec<u8>)> {
    prop_oneof![Just(Sender::Client), Just(Sender::Server), Just(Sender::Odd)]
        .prop_flat_map(|sender| (Just(sender), valid(sender)))
}

/// Writes the stream with a Ping at the last boundary of each chunk.
fn with_pings(stream: &[u8], sizes: &[usize], ping: &ControlFrame) -> (Vec<u8>, usize) {
    let mut parser = FrameParser::new();
    let (mut written, mut pings) = (Vec::new(), 0);
    for (_, chunk) in split(stream, sizes) {
        let at = parser.last_boundary(chunk);
        let (before, behind) = chunk.split_at(at.unwrap_or(0));
        written.extend(before);
        if at.is_some() {
            written.extend(ping.as_bytes());
            pings += 1;
        }
        written.extend(behind);
        parser.parse(chunk).for_each(drop);
    }
    (written, pings)
}

/// The same by way of a filter: a Ping behind whatever has passed, where there is a boundary.
fn with_pings_filtered(stream: &[u8], sizes: &[usize], ping: &ControlFrame) -> (Vec<u8>, usize) {
    let mut filter = Filter::new();
    let (mut written, mut pings) = (Vec::new(), 0);
    for (_, chunk) in split(stream, sizes) {
        let passed = filter.filter(chunk, |_| Verdict::Pass);
        written.extend(passed.held.as_bytes());
        written.extend(passed.bytes);
        if filter.output().at_boundary() {
            written.extend(ping.as_bytes());
            pings += 1;
        }
    }
    written.extend(filter.held().as_bytes());
    (written, pings)
}

/// Both are the same to an application, but for so many Pings of ours.
fn check(sender: Sender, before: &[u8], after: &[u8], pings: usize) -> Result<(), TestCaseError> {
    let (seen, expected) = (decode(after), decode(before));
    prop_assert!(seen.invalid.is_none());
    prop_assert_eq!(seen.messages(), expected.messages());
    let mut controls = seen.controls();
    controls.retain(|(opcode, payload)| *opcode != 9 || payload != PROBE);
    prop_assert_eq!(controls.len() + pings, seen.controls().len());
    prop_assert_eq!(controls, expected.controls());
    if sender != Sender::Odd {
        let mut received = receive(sender, after).map_err(TestCaseError::fail)?;
        let probes = received.len();
        received.retain(|message| !message.is_ping() || message.clone().into_data() != PROBE);
        prop_assert_eq!(received.len() + pings, probes);
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
        let ping = ControlFrame::ping(PROBE, mask(sender, key));
        let (written, pings) = with_pings(&stream, &sizes, &ping);
        check(sender, &stream, &written, pings)?;
    }

    #[test]
    fn a_ping_behind_what_has_passed_changes_no_message(
        (sender, stream) in sender_and_stream(),
        sizes in sizes(),
        key: [u8; 4],
    ) {
        let ping = ControlFrame::ping(PROBE, mask(sender, key));
        let (written, pings) = with_pings_filtered(&stream, &sizes, &ping);
        check(sender, &stream, &written, pings)?;
    }

    #[test]
    fn our_own_frames_are_read_back(
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
