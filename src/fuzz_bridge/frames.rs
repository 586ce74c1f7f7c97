//! The frames that a walker sees, and what a filter lets through.

use crate::tunnel::check_frames;

/// First byte: how many sizes follow it, a byte each. The rest is a stream, cut into chunks of these sizes.
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
