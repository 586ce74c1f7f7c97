//! What must hold of any stream, however it is cut into chunks.
#![allow(clippy::unwrap_used, reason = "a panic is how a property fails")]

use super::super::{Event, Filter, Frame, FrameParser, Verdict};
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

/// A parser sees what the decoder sees, as soon as it can be seen.
pub(super) fn walks(stream: &[u8], sizes: &[usize]) {
    let expected = decode(stream);
    let (events, boundaries) = (expected.events(), expected.boundaries());
    let mut events = events.iter();
    let mut parser = FrameParser::new();
    for (base, chunk) in split(stream, sizes) {
        let end = base + chunk.len();
        let boundary = boundaries.iter().rfind(|at| (base..=end).contains(at));
        assert_eq!(parser.last_boundary(chunk), boundary.map(|at| at - base));
        for event in parser.parse(chunk) {
            let expected = events.next().map(|expected| Event {
                start: expected.start.and_then(|start| start.checked_sub(base)),
                end: expected.end - base,
                ..*expected
            });
            assert_eq!(Some(event), expected);
        }
        check_standing(&parser, &expected, end);
        assert_eq!(parser.at_boundary(), boundaries.contains(&end) && !parser.is_finished());
    }
    assert_eq!(events.next(), None);
}

fn check_standing(parser: &FrameParser, expected: &Decoded, end: usize) {
    let invalid = expected.invalid.filter(|(_, known, _)| *known <= end);
    let closed = expected.frames.last().is_some_and(|frame| frame.opcode == 8 && frame.end <= end);
    assert_eq!(parser.is_finished(), closed || invalid.is_some());
    assert_eq!(parser.messages(), expected.messages_at(end));
    assert_eq!(parser.skippable(), if parser.is_finished() { u64::MAX } else { expected.left(end) });
    assert_eq!(parser.protocol_error(), invalid.map(|(.., error)| error));
}

/// Walks chunk by chunk; the events have offsets in the stream.
pub(super) fn parse(stream: &[u8], sizes: &[usize]) -> (Vec<Event>, FrameParser) {
    let mut parser = FrameParser::new();
    let mut events = Vec::new();
    for (base, chunk) in split(stream, sizes) {
        events.extend(parser.parse(chunk).map(|event| Event {
            start: event.start.map(|start| start + base),
            end: event.end + base,
            ..event
        }));
    }
    (events, parser)
}

/// What a parser tells, apart from events.
fn standing(parser: &FrameParser) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        parser.messages(),
        parser.skippable(),
        parser.at_boundary(),
        parser.is_finished(),
        parser.protocol_error(),
    )
}

/// Walking in chunks equals walking at once.
pub(super) fn walks_alike(stream: &[u8], sizes: &[usize]) {
    let (mut events, parser) = parse(stream, sizes);
    let (at_once, whole) = parse(stream, &[stream.len().max(1)]);
    // Where a frame began that spans chunks is forgotten.
    for (event, whole) in events.iter_mut().zip(&at_once) {
        event.start = event.start.or(whole.start);
    }
    assert_eq!(events, at_once);
    assert_eq!(standing(&parser), standing(&whole));
}

/// Payload that is skipped counts as if it had been fed. The sizes are those of chunks and of skips.
pub(super) fn skips(stream: &[u8], sizes: &[usize]) {
    let mut parser = FrameParser::new();
    let mut fed = FrameParser::new();
    let mut skips = sizes.iter().rev().cycle();
    for (_, mut chunk) in split(stream, sizes) {
        while !chunk.is_empty() {
            let most = skips
                .next()
                .map_or(0, |skip| *skip as u64 - 1)
                .min(parser.skippable())
                .min(chunk.len() as u64);
            let (skipped, rest) = chunk.split_at(most as usize);
            parser.skip(most);
            fed.parse(skipped).for_each(drop);
            assert_eq!(standing(&parser), standing(&fed));
            // One event further, and the rest is a new chunk.
            let event = parser.parse(rest).next();
            let end = event.map_or(rest.len(), |event| event.end);
            fed.parse(&rest[..end]).for_each(drop);
            assert_eq!(standing(&parser), standing(&fed));
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
        Frame::Invalid(_) => Verdict::Drop,
        _ => Verdict::Pass,
    };
    assert_eq!(pass(stream, sizes, invalid), &stream[..end]);
}

/// What passes, up to where a data frame or an invalid one is cut.
pub(super) fn pass(stream: &[u8], sizes: &[usize], mut inspect: impl FnMut(&Event) -> Verdict) -> Vec<u8> {
    let mut filter = Filter::new();
    let mut written = Vec::new();
    let (mut behind, mut walked) = (FrameParser::new(), 0);
    for (base, mut chunk) in split(stream, sizes) {
        let end = base + chunk.len();
        loop {
            let passed = filter.filter(chunk, &mut inspect);
            written.extend(passed.held.as_bytes());
            written.extend(passed.bytes);
            match passed.dropped {
                None => break,
                Some(Event { frame: Frame::Data(_) | Frame::Invalid(_), .. }) => return written,
                Some(_) => chunk = passed.rest,
            }
        }
        assert!(filter.held().as_bytes().len() < 14);
        assert!(stream[..end].ends_with(filter.held().as_bytes()));
        behind.parse(&written[walked..]).for_each(drop);
        walked = written.len();
        assert_eq!(observed(&filter.output()), observed(&behind));
    }
    written.extend(filter.held().as_bytes());
    written
}

fn observed(parser: &FrameParser) -> (bool, u64, u64) {
    (parser.at_boundary(), parser.skippable(), parser.messages())
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
        Frame::Pong(payload) if payload.length <= 8 => Verdict::Drop,
        _ => Verdict::Pass,
    }
}
