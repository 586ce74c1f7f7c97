//! Tables of single frames.

use super::super::{
    Boundary, CloseCode, ControlFrame, Event, Frame, FrameParser, Mask, Payload, ProtocolError, frame::Data,
    header::Opcode,
};

/// Bytes, and the frames in them with the offsets at which they are reported.
type Row<'a> = (&'a [u8], &'a [(usize, Frame)]);

fn data(opcode: Opcode, is_final: bool, length: u64, message_length: u64) -> Frame {
    Frame::Data(Data { opcode, is_final, length, message_length })
}

fn payload(bytes: &[u8], length: u8) -> Payload {
    let mut first = [0; 8];
    first[..bytes.len()].copy_from_slice(bytes);
    Payload { first, length }
}

/// The frames in `bytes` with the ends of their events. Parsing at once and byte by byte gives the same.
fn frames(bytes: &[u8]) -> (Vec<(usize, Frame)>, FrameParser) {
    let mut parser = FrameParser::new();
    let at_once: Vec<_> = parser.parse(bytes).map(|event| (event.end, event.frame)).collect();
    let mut parser_of_bytes = FrameParser::new();
    let one_by_one: Vec<_> = bytes
        .chunks(1)
        .enumerate()
        .flat_map(|(at, byte)| {
            parser_of_bytes.parse(byte).map(move |event| (at + event.end, event.frame)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(one_by_one, at_once, "{bytes:x?}");
    (at_once, parser)
}

#[test]
fn headers_of_each_form_are_parsed() {
    use Opcode::{Binary, Continuation, Text};
    let table: &[Row<'_>] = &[
        (b"\x81\x00", &[(2, data(Text, true, 0, 0))]),
        (b"\x82\x05Hello", &[(2, data(Binary, true, 5, 5))]),
        (b"\xf1\x05Hello", &[(2, data(Text, true, 5, 5))]),
        (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &[(6, data(Text, true, 5, 5))]),
        (b"\x82\x7e\x01\x00", &[(4, data(Binary, true, 256, 256))]),
        (b"\x82\xfe\x01\x00abcd", &[(8, data(Binary, true, 256, 256))]),
        (b"\x82\x7e\x00\x01x\x81\x00", &[(4, data(Binary, true, 1, 1)), (7, data(Text, true, 0, 0))]),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", &[(10, data(Binary, true, 65_536, 65_536))]),
        (
            b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffabcd",
            &[(14, data(Binary, true, (1 << 63) - 1, (1 << 63) - 1))],
        ),
        (
            b"\x01\x03Hel\x89\x00\x00\x00\x80\x02lo\x81\x01!",
            &[
                (2, data(Text, false, 3, 3)),
                (7, Frame::Ping(payload(b"", 0))),
                (9, data(Continuation, false, 0, 3)),
                (11, data(Continuation, true, 2, 5)),
                (15, data(Text, true, 1, 1)),
            ],
        ),
    ];
    for (bytes, expected) in table {
        assert_eq!(frames(bytes).0, *expected, "{bytes:x?}");
    }
}

#[test]
fn control_frames_are_reported_with_their_payload() {
    let key = Mask::Key([1, 2, 3, 4]);
    let long = |mask| ControlFrame::ping(&[7; 125], mask);
    let pong = |payload: &[u8], mask| ControlFrame::new(Opcode::Pong, payload.iter().copied(), mask);
    let close = |mask| ControlFrame::close(CloseCode::GOING_AWAY, "bye", mask);
    let table = [
        (long(Mask::None), Frame::Ping(payload(&[7; 8], 125))),
        (long(key), Frame::Ping(payload(&[7; 8], 125))),
        (pong(b"12345678", Mask::None), Frame::Pong(payload(b"12345678", 8))),
        (pong(b"12345678", key), Frame::Pong(payload(b"12345678", 8))),
        (pong(b"ab", key), Frame::Pong(payload(b"ab", 2))),
        (close(Mask::None), Frame::Close(Some(1001))),
        (close(key), Frame::Close(Some(1001))),
    ];
    for (frame, expected) in table {
        let bytes = frame.as_bytes();
        assert_eq!(frames(bytes).0, [(bytes.len(), expected)], "{bytes:x?}");
    }
    assert_eq!(frames(b"\x88\x00").0, [(2, Frame::Close(None))]);
    assert_eq!(frames(b"\x88\x02\x03\xed").0, [(4, Frame::Close(Some(1005)))]);
}

#[test]
fn a_payload_equals_only_the_same_bytes_and_length() {
    let table =
        [(payload(b"12345678", 8), true), (payload(b"12345678", 9), false), (payload(b"1234567", 7), false)];
    for (payload, same) in table {
        assert_eq!(payload.is(*b"12345678"), same, "{payload:?}");
    }
    assert!(!payload(b"", 0).is([0; 8]));
}

#[test]
fn an_invalid_frame_ends_parsing_with_the_error() {
    use ProtocolError::{
        FragmentedControl, Length, LongControl, NothingToContinue, ReservedOpcode, ShortClose,
        UnfinishedMessage,
    };
    let table: &[(&[u8], ProtocolError)] = &[
        (b"\x83\x00", ReservedOpcode),
        (b"\x87\x00", ReservedOpcode),
        (b"\x8b\x00", ReservedOpcode),
        (b"\x8f\x00", ReservedOpcode),
        (b"\x08\x00", FragmentedControl),
        (b"\x09\x00", FragmentedControl),
        (b"\x89\x7e", LongControl),
        (b"\x8a\xff", LongControl),
        (b"\x88\x01", ShortClose),
        (b"\x88\x81", ShortClose),
        (b"\x80\x00", NothingToContinue),
        (b"\x81\x00\x00\x00", NothingToContinue),
        (b"\x01\x00\x81\x00", UnfinishedMessage),
        (b"\x01\x00\x89\x00\x02\x00", UnfinishedMessage),
        (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", Length),
        (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", Length),
    ];
    for &(bytes, error) in table {
        let (frames, mut parser) = frames(bytes);
        assert_eq!(frames.last(), Some(&(bytes.len(), Frame::Invalid(error))), "{bytes:x?}");
        assert_eq!((parser.protocol_error(), parser.at_boundary(Boundary::Frame)), (Some(error), false));
        assert_eq!(
            (parser.last_boundary(Boundary::Frame, b"\x81\x00"), parser.skippable()),
            (None, u64::MAX)
        );
        assert_eq!(parser.parse(b"\x81\x00").next(), None);
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn nothing_is_parsed_after_a_close() {
    let (frames, mut parser) = frames(b"\x81\x00\x88\x00\x81\x00\x83");
    assert_eq!(frames.len(), 2);
    assert_eq!((parser.messages(), parser.skippable()), (1, u64::MAX));
    assert!(
        parser.is_finished() && !parser.at_boundary(Boundary::Frame) && parser.protocol_error().is_none()
    );
    assert_eq!(parser.last_boundary(Boundary::Frame, b"\x81\x00"), None);
    parser.skip(1000);
    assert_eq!(parser.parse(b"\x89\x00").next(), None);
}

#[test]
fn boundaries_are_between_frames() {
    //                      0               5       7       9
    let chunk = b"\x01\x03Hel\x89\x00\x80\x00\x81\x7e\x00";
    let table = [(12, 9), (9, 9), (8, 7), (7, 7), (6, 5), (5, 5), (4, 0), (1, 0), (0, 0)];
    let parser = FrameParser::new();
    for (length, boundary) in table {
        assert_eq!(parser.last_boundary(Boundary::Frame, &chunk[..length]), Some(boundary), "{length}");
    }
    assert_eq!(parser.last_boundary(Boundary::Frame, b"\x81\x00\x88\x00\x81\x00"), Some(2));
    let mut within = parser;
    within.parse(&chunk[..3]).for_each(drop);
    assert_eq!(within.last_boundary(Boundary::Frame, &chunk[3..4]), None);
    assert_eq!(within.last_boundary(Boundary::Frame, &chunk[3..]), Some(6));
    for (length, boundary) in [(12, 9), (9, 9), (8, 0), (7, 0), (5, 0), (1, 0), (0, 0)] {
        assert_eq!(parser.last_boundary(Boundary::Message, &chunk[..length]), Some(boundary), "{length}");
    }
    assert_eq!(within.last_boundary(Boundary::Message, &chunk[3..6]), None);
    assert_eq!(within.last_boundary(Boundary::Message, &chunk[3..]), Some(6));
}

#[test]
fn a_frame_that_spans_chunks_has_no_start_in_the_last_chunk() {
    let mut parser = FrameParser::new();
    let mut starts = |chunk| parser.parse(chunk).map(|event: Event| event.start).collect::<Vec<_>>();
    assert_eq!(starts(b"\x81\x02a"), [Some(0)]);
    assert_eq!(starts(b"b\x8a"), []);
    assert_eq!(starts(b"\x02a"), []);
    assert_eq!(starts(b"b\x8a\x00\x81"), [None, Some(1)]);
    assert_eq!(starts(b"\x00\x81\x00"), [None, Some(1)]);
}

#[test]
fn only_the_payload_of_data_frames_may_be_skipped() {
    let mut parser = FrameParser::new();
    let table: [(&[u8], u64); 6] =
        [(b"\x81", 0), (b"\x05", 5), (b"Hel", 2), (b"lo", 0), (b"\x8a\x05", 0), (b"Hello", 0)];
    for (chunk, skippable) in table {
        parser.parse(chunk).for_each(drop);
        assert_eq!(parser.skippable(), skippable, "{chunk:x?}");
        parser.skip(0);
        assert_eq!(parser.skippable(), skippable, "{chunk:x?}");
    }
    parser.parse(b"\x82\x7f\x00\x00\x00\xff\x00\x00\x00\x00").for_each(drop);
    parser.skip(0xfe_ffff_ffff);
    assert_eq!((parser.skippable(), parser.at_boundary(Boundary::Frame), parser.messages()), (1, false, 1));
    parser.skip(1);
    assert_eq!((parser.skippable(), parser.at_boundary(Boundary::Frame), parser.messages()), (0, true, 2));
}

#[test]
fn the_parser_is_small() {
    assert!(size_of::<FrameParser>() <= 48, "{}", size_of::<FrameParser>());
}
