//! Properties of the frame parser and of the filter.

use crate::tunnel::check_frames;

/// Checks a stream, divided into chunks. The first byte is the number of sizes, one byte each; the rest of
/// the input is the stream.
pub fn check(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else { return };
    let count = usize::from(count % 8 + 1).min(rest.len());
    let (sizes, stream) = rest.split_at(count);
    if sizes.is_empty() {
        return;
    }
    let sizes: Vec<usize> = sizes.iter().map(|size| usize::from(*size) + 1).collect();
    check_frames(stream, &sizes);
}
