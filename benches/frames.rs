//! Cost of parsing the frames of a tunnel.
//!
//! - `small`: 64 KiB of frames with 125 bytes of payload each, in one chunk, as one read returns them.
//! - `large`: one frame of 1 MiB, in chunks of 64 KiB.
//!
//! For each, `parse` inspects every event, as a size limit does; `filter` also withholds incomplete frames;
//! `boundary` finds the last frame boundary of a chunk.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput};

use frames::{Boundary, Event, Filter, Frame, FrameParser, Verdict};

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "not all of it is measured, and none of it exported"
)]
#[path = "../src/tunnel/frames/mod.rs"]
mod frames;

const CHUNK: usize = 64 * 1024;

/// Check of a tunnel with size limits.
fn is_too_big(event: &Event) -> bool {
    matches!(event.frame, Frame::Data(data) if data.length > 1 << 20 || data.message_length > 1 << 24)
}

fn inspect(event: &Event) -> Verdict {
    if is_too_big(event) { Verdict::Drop } else { Verdict::Pass }
}

fn parse(stream: &[u8]) -> FrameParser {
    let mut parser = FrameParser::new();
    for chunk in stream.chunks(CHUNK) {
        assert!(!parser.parse(black_box(chunk)).any(|event| is_too_big(&event)));
    }
    parser
}

fn filter(stream: &[u8]) -> Filter {
    let mut filter = Filter::new();
    for chunk in stream.chunks(CHUNK) {
        assert!(black_box(filter.filter(black_box(chunk), inspect)).dropped.is_none());
    }
    filter
}

/// Masked frames with this header and payload length, truncated to `bytes` bytes in total.
fn stream(header: &[u8], payload: usize, bytes: usize) -> Vec<u8> {
    let frame = [header, &[1, 2, 3, 4], &vec![b'.'; payload]].concat();
    frame.iter().copied().cycle().take(bytes).collect()
}

fn main() {
    let small = stream(b"\x82\xfd", 125, CHUNK);
    let large = stream(b"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x00", 1 << 20, 14 + (1 << 20));
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("frames");
    group.sample_size(50).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for (name, stream) in [("small", &small), ("large", &large)] {
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(BenchmarkId::new(name, "parse"), |bencher| bencher.iter(|| parse(stream)));
        group.bench_function(BenchmarkId::new(name, "filter"), |bencher| bencher.iter(|| filter(stream)));
    }
    group.throughput(Throughput::Bytes(small.len() as u64));
    group.bench_function("small/boundary", |bencher| {
        bencher.iter(|| FrameParser::new().last_boundary(Boundary::Frame, black_box(&small)));
    });
    group.finish();
    criterion.final_summary();
}
