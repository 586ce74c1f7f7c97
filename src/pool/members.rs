//! [`Members`]: the set of a pool, and the choice of an endpoint from it.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Weak},
    time::Duration,
};

use http::request::Parts;
use tokio::time::Instant;

use super::{
    balance::Balance,
    endpoint::Endpoint,
    inflow::Inflow,
    member::{Lease, Member},
    outlier::Outlier,
    sticky::Sticky,
};
use crate::registry::DrainConfig;

/// An endpoint in the set.
pub(super) struct Entry {
    pub(super) member: Arc<Member>,
    pub(super) endpoint: Endpoint,
    pub(super) is_enabled: bool,
    /// It is chosen only if there is no other one.
    pub(super) ejected_until: Option<Instant>,
    pub(super) inflow: Inflow,
    /// Start of its slow start. `None`: it is over.
    pub(super) since: Option<Instant>,
    /// Credit in the round robin.
    pub(super) current: i64,
    /// The part of its weight that it has in a slow start, of [`FULL_SHARE`].
    share: u16,
}

/// Share of an endpoint after its slow start, and at the start of it.
const FULL_SHARE: u16 = 100;
const FIRST_SHARE: u16 = 10;

impl Entry {
    /// Returns true if it is in use at all.
    pub(super) fn is_usable(&self) -> bool {
        self.is_enabled && self.endpoint.weight > 0
    }

    /// The weight at the moment, in relation to those of other entries.
    pub(super) fn effective_weight(&self) -> u32 {
        u32::from(self.endpoint.weight) * u32::from(self.share)
    }

    /// Updates the part of the weight in a slow start of this time.
    fn update_share(&mut self, now: Instant, slow_start: Duration) {
        let Some(since) = self.since else { return };
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= slow_start {
            (self.since, self.share) = (None, FULL_SHARE);
        } else {
            let grown = f64::from(FULL_SHARE - FIRST_SHARE) * elapsed.div_duration_f64(slow_start);
            self.share = FIRST_SHARE + grown as u16;
        }
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }
}

/// The endpoints of a pool, under one lock: a choice and its count are one step, so that a burst is spread exactly.
#[derive(Default)]
pub(super) struct Members {
    pub(super) entries: Vec<Entry>,
    /// Indices of the entries that can be chosen. Kept for its memory.
    candidates: Vec<usize>,
    /// Endpoints that were removed, while tunnels or requests refer to them. One that comes back has its counts.
    removed: HashMap<Arc<str>, Weak<Member>>,
}

/// Limits and exceptions of a choice.
pub(super) struct Choice<'a> {
    pub(super) balance: &'a Balance,
    pub(super) max_load: usize,
    pub(super) slow_start: Duration,
    /// Maximum number of upgrades of an endpoint in a second.
    pub(super) max_opens: Option<NonZeroU32>,
    pub(super) key: Option<u64>,
    pub(super) request: &'a Parts,
    /// Ids of endpoints that have failed for this request.
    pub(super) tried: &'a [Arc<str>],
    pub(super) sticky: Option<&'a Sticky>,
    /// Value of the request's cookie.
    pub(super) wanted: Option<u64>,
    pub(super) purpose: Purpose,
}

/// Use of an endpoint. One that is leaving still takes the requests of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Upgrade,
    Request,
}

/// Why no endpoint was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// Each endpoint that could be chosen has its maximum load.
    Full,
    None,
}

/// The endpoint of a cookie.
enum Wanted<'a> {
    Chosen(&'a Entry),
    NotUsable,
    /// The request has no cookie.
    Unknown,
}

impl Members {
    /// Chooses an endpoint, and counts one more unit of its load.
    pub(super) fn choose(&mut self, choice: &Choice<'_>) -> Result<Lease, Unavailable> {
        let now = Instant::now();
        if let Some(sticky) = choice.sticky {
            match self.wanted(choice, sticky, now) {
                Wanted::Chosen(entry) => return Ok(Lease::new(&entry.member, &entry.endpoint.upstream)),
                Wanted::NotUsable if sticky.is_hard => return Err(Unavailable::None),
                Wanted::NotUsable | Wanted::Unknown => {}
            }
        }
        let Self { entries, candidates, .. } = self;
        candidates.clear();
        let (mut is_full, mut are_ejected) = (false, false);
        let mut collect = |takes_ejected: bool| {
            for (index, entry) in entries.iter().enumerate() {
                if !entry.is_usable() || choice.tried.contains(&entry.member.id) {
                    continue;
                }
                let is_ejected = entry.is_ejected(now);
                are_ejected |= is_ejected;
                if entry.member.load() >= choice.max_load {
                    is_full = true;
                } else if takes_ejected || !is_ejected {
                    candidates.push(index);
                }
            }
            candidates.is_empty() && are_ejected
        };
        if collect(false) {
            collect(true);
        }
        if candidates.is_empty() {
            return Err(if is_full { Unavailable::Full } else { Unavailable::None });
        }
        let max_opens = choice.max_opens.filter(|_| choice.purpose == Purpose::Upgrade);
        if let Some(rate) = max_opens
            && candidates.iter().any(|&index| entries[index].inflow.allows(now, rate))
        {
            candidates.retain(|&index| entries[index].inflow.allows(now, rate));
        }
        if let Some(factor) = choice.balance.bound {
            bound(entries, candidates, factor);
        }
        for &index in candidates.iter() {
            entries[index].update_share(now, choice.slow_start);
        }
        let chosen = choice.balance.policy.choose(entries, candidates, choice.key, choice.request);
        let entry = &mut entries[chosen];
        if let Some(rate) = max_opens {
            entry.inflow.add(now, rate);
        }
        Ok(Lease::new(&entry.member, &entry.endpoint.upstream))
    }

    /// Returns the endpoint that the request's cookie names.
    fn wanted(&self, choice: &Choice<'_>, sticky: &Sticky, now: Instant) -> Wanted<'_> {
        let Some(wanted) = choice.wanted else { return Wanted::Unknown };
        let is_wanted = |entry: &&Entry| sticky.value(&entry.member.id) == wanted;
        // An endpoint that was removed is not known any more: a hard cookie names it all the same.
        let Some(entry) = self.entries.iter().find(is_wanted) else { return Wanted::NotUsable };
        let takes = entry.is_usable() || choice.purpose == Purpose::Request;
        let is_full = entry.member.load() >= choice.max_load;
        match takes && !is_full && !entry.is_ejected(now) && !choice.tried.contains(&entry.member.id) {
            true => Wanted::Chosen(entry),
            false => Wanted::NotUsable,
        }
    }

    /// Replaces the set. Endpoints whose ids are in both keep their counts and whether they are enabled. Returns those that are
    /// not in the new one. New ones are in the set `since` then.
    pub(super) fn replace(
        &mut self,
        endpoints: impl IntoIterator<Item = Endpoint>,
        since: Option<Instant>,
        on_removed: &DrainConfig,
    ) -> Vec<Arc<Member>> {
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
                    let member = match self.removed.remove(&endpoint.id).and_then(|member| member.upgrade()) {
                        Some(member) => {
                            member.stay();
                            member
                        }
                        None => Member::new(Arc::clone(&endpoint.id)),
                    };
                    Entry {
                        member,
                        endpoint,
                        is_enabled: true,
                        ejected_until: None,
                        inflow: Inflow::default(),
                        since,
                        current: 0,
                        share: FULL_SHARE,
                    }
                }
            });
        }
        let removed: Vec<_> = old.into_values().map(|entry| entry.member).collect();
        // Under the lock, so that one that comes back meanwhile stays.
        removed.iter().for_each(|member| member.leave(on_removed));
        self.removed.retain(|_, member| member.strong_count() > 0);
        self.removed.extend(removed.iter().map(|member| (Arc::clone(&member.id), Arc::downgrade(member))));
        removed
    }

    /// Ejects the endpoint with this id. Returns the time.
    pub(super) fn eject(&mut self, id: &str, outlier: &Outlier) -> Option<Duration> {
        let index = self.entries.iter().position(|entry| &*entry.member.id == id)?;
        outlier.eject(&mut self.entries, index)
    }

    #[cfg(test)]
    pub(super) fn removed_len(&self) -> usize {
        self.removed.len()
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
