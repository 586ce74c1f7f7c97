//! Properties of every stream, independent of its division into chunks.
#![allow(clippy::unwrap_used, reason = "a panic is how a property fails")]

use super::super::{Boundary, Event, Filter, Frame, FrameParser, Verdict};
use super::reference::{Decoded, Read, decode};

/// Checks all properties of `stream`, divided into chunks of these sizes.
pub(crate) fn check(stream: &[u8], sizes: &[usize]) {
    check_events(stream, sizes);
    check_chunks(stream, sizes);
    check_skips(stream, sizes);
    check_filter(stream, sizes);
}

/// Splits a stream into chunks of these sizes, repeated in a cycle. Each comes with its offset.
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

/// Checks that the parser reports the same as the decoder, at the earliest byte.
pub(super) fn check_events(stream: &[u8], sizes: &[usize]) {
    let expected = decode(stream);
    let events = expected.events();
    let kinds = [Boundary::Frame, Boundary::Message].map(|kind| (kind, expected.boundaries(kind)));
    let mut events = events.iter();
    let mut parser = FrameParser::new();
    for (base, chunk) in split(stream, sizes) {
        let end = base + chunk.len();
        for (kind, boundaries) in &kinds {
            let boundary = boundaries.iter().rfind(|at| (base..=end).contains(at));
            assert_eq!(parser.last_boundary(*kind, chunk), boundary.map(|at| at - base));
        }
        for event in parser.parse(chunk) {
            let expected = events.next().map(|expected| Event {
                start: expected.start.and_then(|start| start.checked_sub(base)),
                end: expected.end - base,
                ..*expected
            });
            assert_eq!(Some(event), expected);
        }
        check_position(&parser, &expected, end);
        for (kind, boundaries) in &kinds {
            assert_eq!(parser.at_boundary(*kind), boundaries.contains(&end) && !parser.is_finished());
        }
    }
    assert_eq!(events.next(), None);
}

fn check_position(parser: &FrameParser, expected: &Decoded, end: usize) {
    let invalid = expected.invalid.filter(|(_, detected, _)| *detected <= end);
    let closed = expected.frames.last().is_some_and(|frame| frame.opcode == 8 && frame.end <= end);
    assert_eq!(parser.is_finished(), closed || invalid.is_some());
    assert_eq!(parser.messages(), expected.messages_at(end));
    assert_eq!(parser.skippable(), if parser.is_finished() { u64::MAX } else { expected.remaining(end) });
    assert_eq!(parser.protocol_error(), invalid.map(|(.., error)| error));
}

/// Parses chunk by chunk. The events have offsets in the stream.
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

/// State of a parser, apart from its events.
fn position(parser: &FrameParser) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        parser.messages(),
        parser.skippable(),
        parser.at_boundary(Boundary::Frame),
        parser.is_finished(),
        parser.protocol_error(),
    )
}

/// Checks that the events are independent of the division into chunks.
pub(super) fn check_chunks(stream: &[u8], sizes: &[usize]) {
    let (mut events, parser) = parse(stream, sizes);
    let (at_once, whole) = parse(stream, &[stream.len().max(1)]);
    // The start of a frame that spans chunks is not reported.
    for (event, whole) in events.iter_mut().zip(&at_once) {
        event.start = event.start.or(whole.start);
    }
    assert_eq!(events, at_once);
    assert_eq!(position(&parser), position(&whole));
}

/// Checks that skipped payload counts like parsed payload. The sizes are those of chunks and of skips.
pub(super) fn check_skips(stream: &[u8], sizes: &[usize]) {
    let mut parser = FrameParser::new();
    let mut reference = FrameParser::new();
    let mut skip_sizes = sizes.iter().rev().cycle();
    for (_, mut chunk) in split(stream, sizes) {
        while !chunk.is_empty() {
            let most = skip_sizes
                .next()
                .map_or(0, |skip| *skip as u64 - 1)
                .min(parser.skippable())
                .min(chunk.len() as u64);
            let (skipped, rest) = chunk.split_at(most as usize);
            parser.skip(most);
            reference.parse(skipped).for_each(drop);
            assert_eq!(position(&parser), position(&reference));
            // Parse up to the next event; the rest is a new chunk.
            let event = parser.parse(rest).next();
            let end = event.map_or(rest.len(), |event| event.end);
            reference.parse(&rest[..end]).for_each(drop);
            assert_eq!(position(&parser), position(&reference));
            chunk = &rest[end..];
        }
    }
}

/// Checks that a filter changes no byte that passes, can drop every short Pong, and can end the stream
/// before an invalid frame.
fn check_filter(stream: &[u8], sizes: &[usize]) {
    assert_eq!(filter(stream, sizes, |_| Verdict::Pass), stream);
    let is_short_pong = |frame: &Read| frame.opcode == 10 && frame.bytes.len() <= 8;
    assert_eq!(filter(stream, sizes, drop_short_pongs), without(stream, is_short_pong));
    let end = decode(stream).invalid.map_or(stream.len(), |(start, ..)| start);
    let drop_invalid = |event: &Event| match event.frame {
        Frame::Invalid(_) => Verdict::Drop,
        _ => Verdict::Pass,
    };
    assert_eq!(filter(stream, sizes, drop_invalid), &stream[..end]);
}

/// Output of a filter, up to the first data frame or invalid frame that is dropped.
pub(super) fn filter(stream: &[u8], sizes: &[usize], mut inspect: impl FnMut(&Event) -> Verdict) -> Vec<u8> {
    let mut filter = Filter::new();
    let mut written = Vec::new();
    let (mut reference, mut parsed) = (FrameParser::new(), 0);
    for (base, mut chunk) in split(stream, sizes) {
        let end = base + chunk.len();
        loop {
            let output = filter.filter(chunk, &mut inspect);
            written.extend(output.withheld.as_bytes());
            written.extend(output.bytes);
            match output.dropped {
                None => break,
                Some(Event { frame: Frame::Data(_) | Frame::Invalid(_), .. }) => return written,
                Some(_) => chunk = output.rest,
            }
        }
        assert!(filter.withheld().as_bytes().len() < 14);
        assert!(stream[..end].ends_with(filter.withheld().as_bytes()));
        reference.parse(&written[parsed..]).for_each(drop);
        parsed = written.len();
        assert_eq!(boundary_state(&filter.output()), boundary_state(&reference));
    }
    written.extend(filter.withheld().as_bytes());
    written
}

fn boundary_state(parser: &FrameParser) -> (bool, u64, u64) {
    (parser.at_boundary(Boundary::Frame), parser.skippable(), parser.messages())
}

/// The stream without the frames that `dropped` selects.
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

pub(super) fn drop_short_pongs(event: &Event) -> Verdict {
    match event.frame {
        Frame::Pong(payload) if payload.length <= 8 => Verdict::Drop,
        _ => Verdict::Pass,
    }
}
