//! Streams that pass a filter.

use proptest::prelude::*;

use super::super::{ControlFrame, Event, Filter, Frame, Mask, Verdict};
use super::{
    check::{pass, short_pongs, without},
    reference::{Read, decode},
    streams::{Sender, any_stream, sizes, valid},
};

proptest! {
    #[test]
    fn what_is_passed_is_not_changed(stream in any_stream(), sizes in sizes()) {
        prop_assert_eq!(pass(&stream, &sizes, |_| Verdict::Pass), stream);
    }

    #[test]
    fn every_short_pong_can_be_taken_out(stream in any_stream(), sizes in sizes()) {
        let is_short_pong = |frame: &Read| frame.opcode == 10 && frame.bytes.len() <= 8;
        prop_assert_eq!(pass(&stream, &sizes, short_pongs), without(&stream, is_short_pong));
    }

    #[test]
    fn the_messages_stay_when_control_frames_are_taken_out(
        stream in prop_oneof![valid(Sender::Client), valid(Sender::Server), valid(Sender::Odd)],
        sizes in sizes(),
    ) {
        let (before, after) = (decode(&stream), decode(&pass(&stream, &sizes, short_pongs)));
        prop_assert_eq!(after.messages(), before.messages());
        let mut kept = before.controls();
        kept.retain(|(opcode, payload)| *opcode != 10 || payload.len() > 8);
        prop_assert_eq!(after.controls(), kept);
    }

    #[test]
    fn a_stream_is_cut_before_a_message_gets_too_long(
        stream in any_stream(),
        sizes in sizes(),
        limit in 0..300_u64,
    ) {
        let too_long = |event: &Event| matches!(event.frame, Frame::Data(data) if data.message_length > limit);
        let end = decode(&stream).events().iter().find(|event| too_long(event)).and_then(|event| event.start);
        let passed = pass(&stream, &sizes, |event| if too_long(event) { Verdict::Drop } else { Verdict::Pass });
        prop_assert_eq!(passed, &stream[..end.unwrap_or(stream.len())]);
    }

    #[test]
    fn a_stream_is_cut_before_a_frame_that_is_invalid(stream in any_stream(), sizes in sizes()) {
        let end = decode(&stream).invalid.map_or(stream.len(), |(start, ..)| start);
        let inspect = |event: &Event| match event.frame {
            Frame::Invalid(_) => Verdict::Drop,
            _ => Verdict::Pass,
        };
        prop_assert_eq!(pass(&stream, &sizes, inspect), &stream[..end]);
    }
}

#[test]
fn a_long_control_frame_can_be_taken_out_as_long_as_none_of_it_has_passed() {
    let ping = ControlFrame::ping(&[1; 125], Mask::Key([1, 2, 3, 4]));
    let bytes = ping.as_bytes();
    let dropped = |sizes: &[usize]| pass(bytes, sizes, |_| Verdict::Drop);
    assert_eq!(dropped(&[131]), b"");
    assert_eq!(dropped(&[5, 126]), b"");
    assert_eq!(dropped(&[6, 125]), bytes);
    assert_eq!(dropped(&[50]), bytes);
}

#[test]
fn an_event_is_judged_once() {
    let stream = b"\x8a\x08aaaaaaaa\x81\x01x\x8a\x08bbbbbbbb\x81\x02yz";
    for size in 1..stream.len() {
        let mut judged = Vec::new();
        let passed = pass(stream, &[size], |event| {
            judged.push(event.frame);
            short_pongs(event)
        });
        assert_eq!(passed, b"\x81\x01x\x81\x02yz");
        assert_eq!(judged.len(), 4, "{judged:?}");
    }
}

#[test]
fn a_frame_may_be_inserted_before_what_is_held_back() {
    for held in [&b"\x81"[..], b"\x81\x7e\x00", b"\x8a\x08abc", b"\x88\x02\x03"] {
        let mut filter = Filter::new();
        let chunk = [b"\x81\x01x", held].concat();
        let passed = filter.filter(&chunk, |_| Verdict::Pass);
        assert_eq!(passed.bytes, b"\x81\x01x");
        assert_eq!(filter.held().as_bytes(), held);
        assert!(filter.output().at_boundary());
    }
}
