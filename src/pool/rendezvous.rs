//! Rendezvous hashing with weights: each endpoint has a random score for a key, and the best one is chosen.
//!
//! The score of a weight w is `-ln(u) / w` with u uniform in (0, 1), an exponential variable of rate w: the smallest of them is that
//! of an endpoint with the probability of its share of the weights, and does not depend on the other endpoints.

use super::{key::hash_with, members::Entry};

/// Returns the candidate that the key chooses.
pub(super) fn choose(entries: &[Entry], candidates: &[usize], key: u64) -> usize {
    let score = |index: usize| {
        let endpoint = &entries[index].endpoint;
        // Of the 64 bits, a float has 53.
        let uniform = ((hash_with(key, &endpoint.id) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() / f64::from(endpoint.weight)
    };
    let scored = candidates.iter().map(|&index| (score(index), index));
    scored.min_by(|one, other| one.0.total_cmp(&other.0)).map_or(candidates[0], |(_, index)| index)
}
