//! What must hold of any stream, however it is cut into chunks.
#![allow(clippy::unwrap_used, reason = "a panic is how a property fails")]

use super::super::{Event, Filter, Frame, Verdict, Walker};
use super::reference::{Decoded, Read, decode};

/// All of it.
pub(crate) fn check(stream: &[u8], sizes: &[usize]) {
    walks(stream, sizes);
    walks_alike(stream, sizes);
    skips(stream, sizes);
    passes(stream, sizes);
}

/// Splits a stream into chunks of these sizes, again and again; tells where each begins.
pub(super) fn split<'a>(stream: &'a [u8], sizes: &[usize]) -> Vec<(usize, &'a [u8])> {
    let mut chunks = Vec::new();
    let mut at = 0;
    let mut sizes = sizes.iter().cycle();
    while at < stream.len() {
        let end = stream.len().min(at + sizes.next().unwrap());
        chunks.push((at, &stream[at..end]));
        at = end;
    }
    chunks
}

/// A walker sees what the decoder sees, as soon as it can be seen.
pub(super) fn walks(stream: &[u8], sizes: &[usize]) {
    let expected = decode(stream);
    let (events, boundaries) = (expected.events(), expected.boundaries());
    let mut events = events.iter();
    let mut walker = Walker::new();
    for (base, chunk) in split(stream, sizes) {
        let end = base + chunk.len();
        let boundary = boundaries.iter().rfind(|at| (base..=end).contains(at));
        assert_eq!(walker.last_boundary(chunk), boundary.map(|at| at - base));
        for event in walker.walk(chunk) {
            let expected = events.next().map(|expected| Event {
                start: expected.start.and_then(|start| start.checked_sub(base)),
                end: expected.end - base,
                ..*expected
            });
            assert_eq!(Some(event), expected);
        }
        check_standing(&walker, &expected, end);
        assert_eq!(walker.at_boundary(), boundaries.contains(&end) && !walker.is_over());
    }
    assert_eq!(events.next(), None);
}

fn check_standing(walker: &Walker, expected: &Decoded, end: usize) {
    let invalid = expected.invalid.filter(|(_, known, _)| *known <= end);
    let closed = expected.frames.last().is_some_and(|frame| frame.opcode == 8 && frame.end <= end);
    assert_eq!(walker.is_over(), closed || invalid.is_some());
    assert_eq!(walker.messages(), expected.messages_at(end));
    assert_eq!(walker.unseen(), if walker.is_over() { u64::MAX } else { expected.left(end) });
    assert_eq!(walker.given_up(), invalid.map(|(.., violation)| violation));
}

/// Walks chunk by chunk; the events have offsets in the stream.
pub(super) fn walk(stream: &[u8], sizes: &[usize]) -> (Vec<Event>, Walker) {
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

/// Walking in chunks equals walking at once.
pub(super) fn walks_alike(stream: &[u8], sizes: &[usize]) {
    let (mut events, walker) = walk(stream, sizes);
    let (at_once, whole) = walk(stream, &[stream.len().max(1)]);
    // Where a frame began that spans chunks is forgotten.
    for (event, whole) in events.iter_mut().zip(&at_once) {
        event.start = event.start.or(whole.start);
    }
    assert_eq!(events, at_once);
    assert_eq!(standing(&walker), standing(&whole));
}

/// Payload that is skipped counts as if it had been fed. The sizes are those of chunks and of skips.
pub(super) fn skips(stream: &[u8], sizes: &[usize]) {
    let mut walker = Walker::new();
    let mut fed = Walker::new();
    let mut skips = sizes.iter().rev().cycle();
    for (_, mut chunk) in split(stream, sizes) {
        while !chunk.is_empty() {
            let most =
                skips.next().map_or(0, |skip| *skip as u64 - 1).min(walker.unseen()).min(chunk.len() as u64);
            let (skipped, rest) = chunk.split_at(most as usize);
            walker.skip(most);
            fed.walk(skipped).for_each(drop);
            assert_eq!(standing(&walker), standing(&fed));
            // One event further, and the rest is a new chunk.
            let event = walker.walk(rest).next();
            let end = event.map_or(rest.len(), |event| event.end);
            fed.walk(&rest[..end]).for_each(drop);
            assert_eq!(standing(&walker), standing(&fed));
            chunk = &rest[end..];
        }
    }
}

/// A filter changes nothing that passes, can take out every short Pong, and cuts before an invalid frame.
fn passes(stream: &[u8], sizes: &[usize]) {
    assert_eq!(pass(stream, sizes, |_| Verdict::Pass), stream);
    let is_short_pong = |frame: &Read| frame.opcode == 10 && frame.bytes.len() <= 8;
    assert_eq!(pass(stream, sizes, short_pongs), without(stream, is_short_pong));
    let end = decode(stream).invalid.map_or(stream.len(), |(start, ..)| start);
    let invalid = |event: &Event| match event.frame {
        Frame::Invalid(_) => Verdict::Cut,
        _ => Verdict::Pass,
    };
    assert_eq!(pass(stream, sizes, invalid), &stream[..end]);
}

/// What passes, up to where a data frame or an invalid one is cut.
pub(super) fn pass(stream: &[u8], sizes: &[usize], mut judge: impl FnMut(&Event) -> Verdict) -> Vec<u8> {
    let mut filter = Filter::new();
    let mut written = Vec::new();
    let (mut behind, mut walked) = (Walker::new(), 0);
    for (base, mut chunk) in split(stream, sizes) {
        let end = base + chunk.len();
        loop {
            let passed = filter.pass(chunk, &mut judge);
            written.extend(passed.held.as_bytes());
            written.extend(passed.bytes);
            match passed.cut {
                None => break,
                Some(Event { frame: Frame::Data(_) | Frame::Invalid(_), .. }) => return written,
                Some(_) => chunk = passed.rest,
            }
        }
        assert!(filter.held().as_bytes().len() < 14);
        assert!(stream[..end].ends_with(filter.held().as_bytes()));
        behind.walk(&written[walked..]).for_each(drop);
        walked = written.len();
        assert_eq!(observed(&filter.passed()), observed(&behind));
    }
    written.extend(filter.held().as_bytes());
    written
}

fn observed(walker: &Walker) -> (bool, u64, u64) {
    (walker.at_boundary(), walker.unseen(), walker.messages())
}

/// The stream without these frames.
pub(super) fn without(stream: &[u8], dropped: impl Fn(&Read) -> bool) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut at = 0;
    for frame in decode(stream).frames.iter().filter(|frame| frame.end <= stream.len() && dropped(frame)) {
        kept.extend(&stream[at..frame.start]);
        at = frame.end;
    }
    kept.extend(&stream[at..]);
    kept
}

pub(super) fn short_pongs(event: &Event) -> Verdict {
    match event.frame {
        Frame::Pong(payload) if payload.length <= 8 => Verdict::Cut,
        _ => Verdict::Pass,
    }
}
