//! [`Members`]: the set of a pool, and the choice of an endpoint from it.

use std::{collections::HashMap, sync::Arc};

use http::request::Parts;

use super::{
    balance::Balance,
    endpoint::Endpoint,
    member::{Lease, Member},
};

/// An endpoint in the set.
pub(super) struct Entry {
    pub(super) member: Arc<Member>,
    pub(super) endpoint: Endpoint,
    pub(super) is_enabled: bool,
    /// Credit in the round robin.
    pub(super) current: i64,
}

/// The endpoints of a pool, under one lock: a choice and its count are one step, so that a burst is spread exactly.
#[derive(Default)]
pub(super) struct Members {
    pub(super) entries: Vec<Entry>,
    /// Indices of the entries that can be chosen. Kept for its memory.
    candidates: Vec<usize>,
}

/// Limits and exceptions of a choice.
pub(super) struct Choice<'a> {
    pub(super) balance: &'a Balance,
    pub(super) max_load: usize,
    pub(super) key: Option<u64>,
    pub(super) request: &'a Parts,
    /// Ids of endpoints that have failed for this request.
    pub(super) tried: &'a [Arc<str>],
}

/// Why no endpoint was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// Each endpoint that could be chosen has its maximum load.
    Full,
    None,
}

impl Members {
    /// Chooses an endpoint, and counts one more unit of its load.
    pub(super) fn choose(&mut self, choice: &Choice<'_>) -> Result<Lease, Unavailable> {
        let Self { entries, candidates } = self;
        candidates.clear();
        let mut is_full = false;
        for (index, entry) in entries.iter().enumerate() {
            let is_usable = entry.is_enabled && entry.endpoint.weight > 0;
            if !is_usable || choice.tried.contains(&entry.member.id) {
                continue;
            }
            match entry.member.load() < choice.max_load {
                true => candidates.push(index),
                false => is_full = true,
            }
        }
        if candidates.is_empty() {
            return Err(if is_full { Unavailable::Full } else { Unavailable::None });
        }
        if let Some(factor) = choice.balance.bound {
            bound(entries, candidates, factor);
        }
        let chosen = choice.balance.policy.choose(entries, candidates, choice.key, choice.request);
        let entry = &entries[chosen];
        Ok(Lease::new(&entry.member, &entry.endpoint.upstream))
    }

    /// Replaces the set. Endpoints whose ids are in both keep their counts and whether they are enabled. Returns those that are
    /// not in the new one.
    pub(super) fn replace(&mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Vec<Arc<Member>> {
        let old = std::mem::take(&mut self.entries);
        let mut old: HashMap<Arc<str>, Entry> =
            old.into_iter().map(|entry| (Arc::clone(&entry.member.id), entry)).collect();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        for endpoint in endpoints {
            if let Some(&place) = places.get(&endpoint.id) {
                self.entries[place].endpoint = endpoint;
                continue;
            }
            places.insert(Arc::clone(&endpoint.id), self.entries.len());
            self.entries.push(match old.remove(&endpoint.id) {
                Some(entry) => Entry { endpoint, ..entry },
                None => {
                    let member = Member::new(Arc::clone(&endpoint.id));
                    Entry { member, endpoint, is_enabled: true, current: 0 }
                }
            });
        }
        old.into_values().map(|entry| entry.member).collect()
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| &*entry.member.id == id)
    }
}

/// Removes the candidates that have `factor` times their share of the load of all. At least one remains: not all can exceed the
/// mean.
fn bound(entries: &[Entry], candidates: &mut Vec<usize>, factor: f64) {
    let load: usize = candidates.iter().map(|&index| entries[index].member.load()).sum();
    let weight: u64 = candidates.iter().map(|&index| u64::from(entries[index].endpoint.weight)).sum();
    let share = factor * (load + 1) as f64 / weight as f64;
    candidates.retain(|&index| {
        let entry = &entries[index];
        (entry.member.load() as f64) < (share * f64::from(entry.endpoint.weight)).ceil()
    });
}
