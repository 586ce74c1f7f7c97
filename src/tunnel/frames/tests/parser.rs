//! Walks over random streams.

use proptest::prelude::*;

use super::super::Frame;
use super::{
    check::{parse, skips, walks, walks_alike},
    reference::decode,
    streams::{Sender, any_stream, sizes, valid},
};

proptest! {
    #[test]
    fn valid_frames_are_seen_as_a_plain_decoder_sees_them(
        stream in prop_oneof![valid(Sender::Client), valid(Sender::Server), valid(Sender::Odd)],
        sizes in sizes(),
    ) {
        prop_assert!(decode(&stream).invalid.is_none());
        walks(&stream, &sizes);
    }

    #[test]
    fn any_bytes_are_seen_as_a_plain_decoder_sees_them(stream in any_stream(), sizes in sizes()) {
        walks(&stream, &sizes);
    }

    #[test]
    fn walking_in_chunks_equals_walking_at_once(stream in any_stream(), sizes in sizes()) {
        walks_alike(&stream, &sizes);
    }

    #[test]
    fn skipped_payload_counts_as_if_it_had_been_fed(
        stream in any_stream(),
        sizes in sizes(),
    ) {
        skips(&stream, &sizes);
    }

    #[test]
    fn the_events_of_an_invalid_stream_end_with_why(stream in any_stream(), sizes in sizes()) {
        let (events, parser) = parse(&stream, &sizes);
        let last = events.last().map(|event| event.frame);
        match parser.protocol_error() {
            Some(error) => prop_assert_eq!(last, Some(Frame::Invalid(error))),
            None => prop_assert!(!matches!(last, Some(Frame::Invalid(_)))),
        }
    }
}
