//! Random streams through a filter.

use proptest::prelude::*;

use super::super::{Boundary, ControlFrame, Event, Filter, Frame, Mask, Verdict};
use super::{
    check::{drop_short_pongs, filter, without},
    reference::{Read, decode},
    streams::{Sender, any_stream, sizes, valid},
};

proptest! {
    #[test]
    fn relayed_bytes_are_not_changed(stream in any_stream(), sizes in sizes()) {
        prop_assert_eq!(filter(&stream, &sizes, |_| Verdict::Pass), stream);
    }

    #[test]
    fn every_short_pong_can_be_dropped(stream in any_stream(), sizes in sizes()) {
        let is_short_pong = |frame: &Read| frame.opcode == 10 && frame.bytes.len() <= 8;
        prop_assert_eq!(filter(&stream, &sizes, drop_short_pongs), without(&stream, is_short_pong));
    }

    #[test]
    fn messages_are_kept_when_control_frames_are_dropped(
        stream in prop_oneof![valid(Sender::Client), valid(Sender::Server), valid(Sender::Odd)],
        sizes in sizes(),
    ) {
        let (before, after) = (decode(&stream), decode(&filter(&stream, &sizes, drop_short_pongs)));
        prop_assert_eq!(after.messages(), before.messages());
        let mut kept = before.controls();
        kept.retain(|(opcode, payload)| *opcode != 10 || payload.len() > 8);
        prop_assert_eq!(after.controls(), kept);
    }

    #[test]
    fn a_stream_can_end_before_a_message_exceeds_a_limit(
        stream in any_stream(),
        sizes in sizes(),
        limit in 0..300_u64,
    ) {
        let too_long = |event: &Event| matches!(event.frame, Frame::Data(data) if data.message_length > limit);
        let end = decode(&stream).events().iter().find(|event| too_long(event)).and_then(|event| event.start);
        let output = filter(&stream, &sizes, |event| if too_long(event) { Verdict::Drop } else { Verdict::Pass });
        prop_assert_eq!(output, &stream[..end.unwrap_or(stream.len())]);
    }

    #[test]
    fn a_stream_can_end_before_an_invalid_frame(stream in any_stream(), sizes in sizes()) {
        let end = decode(&stream).invalid.map_or(stream.len(), |(start, ..)| start);
        let inspect = |event: &Event| match event.frame {
            Frame::Invalid(_) => Verdict::Drop,
            _ => Verdict::Pass,
        };
        prop_assert_eq!(filter(&stream, &sizes, inspect), &stream[..end]);
    }
}

#[test]
fn a_long_control_frame_can_be_dropped_until_some_of_it_has_passed() {
    let ping = ControlFrame::ping(&[1; 125], Mask::Key([1, 2, 3, 4]));
    let bytes = ping.as_bytes();
    let dropped = |sizes: &[usize]| filter(bytes, sizes, |_| Verdict::Drop);
    assert_eq!(dropped(&[131]), b"");
    assert_eq!(dropped(&[5, 126]), b"");
    assert_eq!(dropped(&[6, 125]), bytes);
    assert_eq!(dropped(&[50]), bytes);
}

#[test]
fn an_event_is_inspected_once() {
    let stream = b"\x8a\x08aaaaaaaa\x81\x01x\x8a\x08bbbbbbbb\x81\x02yz";
    for size in 1..stream.len() {
        let mut inspected = Vec::new();
        let output = filter(stream, &[size], |event| {
            inspected.push(event.frame);
            drop_short_pongs(event)
        });
        assert_eq!(output, b"\x81\x01x\x81\x02yz");
        assert_eq!(inspected.len(), 4, "{inspected:?}");
    }
}

#[test]
fn a_frame_may_be_inserted_before_withheld_bytes() {
    for withheld in [&b"\x81"[..], b"\x81\x7e\x00", b"\x8a\x08abc", b"\x88\x02\x03"] {
        let mut filter = Filter::new();
        let chunk = [b"\x81\x01x", withheld].concat();
        let output = filter.filter(&chunk, |_| Verdict::Pass);
        assert_eq!(output.bytes, b"\x81\x01x");
        assert_eq!(filter.withheld().as_bytes(), withheld);
        assert!(filter.output().at_boundary(Boundary::Frame));
    }
}
