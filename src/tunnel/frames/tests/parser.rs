//! Random streams through the parser.

use proptest::prelude::*;

use super::super::Frame;
use super::{
    check::{check_chunks, check_events, check_skips, parse},
    reference::decode,
    streams::{Sender, any_stream, sizes, valid},
};

proptest! {
    #[test]
    fn valid_frames_are_parsed_as_by_the_reference(
        stream in prop_oneof![valid(Sender::Client), valid(Sender::Server), valid(Sender::Odd)],
        sizes in sizes(),
    ) {
        prop_assert!(decode(&stream).invalid.is_none());
        check_events(&stream, &sizes);
    }

    #[test]
    fn any_bytes_are_parsed_as_by_the_reference(stream in any_stream(), sizes in sizes()) {
        check_events(&stream, &sizes);
    }

    #[test]
    fn events_do_not_depend_on_the_chunks(stream in any_stream(), sizes in sizes()) {
        check_chunks(&stream, &sizes);
    }

    #[test]
    fn skipped_payload_counts_like_parsed_payload(
        stream in any_stream(),
        sizes in sizes(),
    ) {
        check_skips(&stream, &sizes);
    }

    #[test]
    fn the_events_of_an_invalid_stream_end_with_the_error(stream in any_stream(), sizes in sizes()) {
        let (events, parser) = parse(&stream, &sizes);
        let last = events.last().map(|event| event.frame);
        match parser.protocol_error() {
            Some(error) => prop_assert_eq!(last, Some(Frame::Invalid(error))),
            None => prop_assert!(!matches!(last, Some(Frame::Invalid(_)))),
        }
    }
}
