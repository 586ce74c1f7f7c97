//! Random bytes.

/// Random bytes, or zeros if the system provides none: for masking keys, ping payloads and jitter, which are
/// valid with any value.
pub(super) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom::fill(&mut bytes);
    bytes
}
