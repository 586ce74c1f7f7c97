//! Walks over random streams.

use proptest::prelude::*;

use super::super::{Event, Frame, Walker};
use super::{
    reference::{Decoded, decode},
    streams::{Sender, any_stream, sizes, split, valid},
};

/// Walks chunk by chunk; the events have offsets in the stream.
fn walk(stream: &[u8], sizes: &[usize]) -> (Vec<Event>, Walker) {
    let mut walker = Walker::new();
    let mut events = Vec::new();
    for (base, chunk) in split(stream, sizes) {
        events.extend(walker.walk(chunk).map(|event| Event {
            start: event.start.map(|start| start + base),
            end: event.end + base,
            ..event
        }));
    }
    (events, walker)
}

/// What a walker tells, apart from events.
fn standing(walker: &Walker) -> impl PartialEq + std::fmt::Debug + use<> {
    (walker.messages(), walker.unseen(), walker.at_boundary(), walker.is_over(), walker.given_up())
}

fn check(stream: &[u8], sizes: &[usize]) -> Result<(), TestCaseError> {
    let expected = decode(stream);
    let (events, boundaries) = (expected.events(), expected.boundaries());
    let mut events = events.iter();
    let mut walker = Walker::new();
    for (base, chunk) in split(stream, sizes) {
        let end = base + chunk.len();
        let boundary = boundaries.iter().rfind(|at| (base..=end).contains(at));
        prop_assert_eq!(walker.last_boundary(chunk), boundary.map(|at| at - base));
        for event in walker.walk(chunk) {
            let expected = events.next().map(|expected| Event {
                start: expected.start.and_then(|start| start.checked_sub(base)),
                end: expected.end - base,
                ..*expected
            });
            prop_assert_eq!(Some(event), expected);
        }
        check_standing(&walker, &expected, end)?;
        prop_assert_eq!(walker.at_boundary(), boundaries.contains(&end) && !walker.is_over());
    }
    prop_assert_eq!(events.next(), None);
    Ok(())
}

fn check_standing(walker: &Walker, expected: &Decoded, end: usize) -> Result<(), TestCaseError> {
    let invalid = expected.invalid.filter(|(_, known, _)| *known <= end);
    let closed = expected.frames.last().is_some_and(|frame| frame.opcode == 8 && frame.end <= end);
    prop_assert_eq!(walker.is_over(), closed || invalid.is_some());
    prop_assert_eq!(walker.messages(), expected.messages_at(end));
    prop_assert_eq!(walker.unseen(), if walker.is_over() { u64::MAX } else { expected.left(end) });
    prop_assert_eq!(walker.given_up(), invalid.map(|(.., violation)| violation));
    Ok(())
}

proptest! {
    #[test]
    fn valid_frames_are_seen_as_a_plain_decoder_sees_them(
        stream in prop_oneof![valid(Sender::Client), valid(Sender::Server), valid(Sender::Odd)],
        sizes in sizes(),
    ) {
        prop_assert!(decode(&stream).invalid.is_none());
        check(&stream, &sizes)?;
    }

    #[test]
    fn any_bytes_are_seen_as_a_plain_decoder_sees_them(stream in any_stream(), sizes in sizes()) {
        check(&stream, &sizes)?;
    }

    #[test]
    fn walking_in_chunks_equals_walking_at_once(stream in any_stream(), sizes in sizes()) {
        let (mut events, walker) = walk(&stream, &sizes);
        let (at_once, whole) = walk(&stream, &[stream.len().max(1)]);
        // Where a frame began that spans chunks is forgotten.
        for (event, whole) in events.iter_mut().zip(&at_once) {
            event.start = event.start.or(whole.start);
        }
        prop_assert_eq!(events, at_once);
        prop_assert_eq!(standing(&walker), standing(&whole));
    }

    #[test]
    fn skipped_payload_counts_as_if_it_had_been_fed(
        stream in any_stream(),
        sizes in sizes(),
        skips in prop::collection::vec(0..5000_u64, 1..5),
    ) {
        let mut walker = Walker::new();
        let mut fed = Walker::new();
        let mut skips = skips.iter().cycle();
        for (_, mut chunk) in split(&stream, &sizes) {
            while !chunk.is_empty() {
                let most = skips.next().copied().unwrap_or(0).min(walker.unseen()).min(chunk.len() as u64);
                let (skipped, rest) = chunk.split_at(most as usize);
                walker.skip(most);
                fed.walk(skipped).for_each(drop);
                prop_assert_eq!(standing(&walker), standing(&fed));
                // One event further, and the rest is a new chunk.
                let event = walker.walk(rest).next();
                let end = event.map_or(rest.len(), |event| event.end);
                fed.walk(&rest[..end]).for_each(drop);
                prop_assert_eq!(standing(&walker), standing(&fed));
                chunk = &rest[end..];
            }
        }
    }

    #[test]
    fn the_events_of_an_invalid_stream_end_with_why(stream in any_stream(), sizes in sizes()) {
        let (events, walker) = walk(&stream, &sizes);
        let last = events.last().map(|event| event.frame);
        match walker.given_up() {
            Some(violation) => prop_assert_eq!(last, Some(Frame::Invalid(violation))),
            None => prop_assert!(!matches!(last, Some(Frame::Invalid(_)))),
        }
    }
}
