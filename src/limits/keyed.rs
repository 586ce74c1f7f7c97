//! Counts per key.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError},
};

use crate::sync::{Mutex, MutexGuard};

/// Capacity below which the map is never shrunk.
const SMALL: usize = 64;

/// A limit on the permits of each key. Only keys with a permit in use cost memory.
pub(super) struct Keyed<K> {
    limit: usize,
    counts: Mutex<HashMap<K, usize>>,
}

/// A permit for one key. Released on drop.
pub(super) struct KeyedPermit<K: Eq + Hash> {
    limit: Arc<Keyed<K>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Keyed<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, counts: Mutex::default() }
    }

    /// Returns a permit for `key`; `None` when all of them are in use.
    pub(super) fn acquire(self: &Arc<Self>, key: K) -> Option<KeyedPermit<K>> {
        if self.limit == 0 {
            return None;
        }
        match self.counts().entry(key.clone()) {
            Entry::Occupied(count) if *count.get() >= self.limit => return None,
            Entry::Occupied(mut count) => *count.get_mut() += 1,
            Entry::Vacant(entry) => {
                entry.insert(1);
            }
        }
        Some(KeyedPermit { limit: Arc::clone(self), key })
    }
}

impl<K> Keyed<K> {
    fn counts(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // Poisoned or not, the counts are consistent: no change to them can panic half-way.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for KeyedPermit<K> {
    fn drop(&mut self) {
        let mut counts = self.limit.counts();
        match counts.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.key);
                // Releases the memory of a peak that is over.
                if counts.capacity() > SMALL.max(4 * counts.len()) {
                    let fitting = 2 * counts.len();
                    counts.shrink_to(fitting);
                }
            }
        }
    }
}

impl<K> fmt::Debug for Keyed<K> {
    /// Omits the keys, as they are addresses of clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("limit", &self.limit).field("keys", &self.counts().len()).finish()
    }
}

impl<K: Eq + Hash> fmt::Debug for KeyedPermit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedPermit").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_permits_and_is_forgotten_without_any() {
        let keyed = Arc::new(Keyed::new(2));
        let (first, second) = (keyed.acquire("a").unwrap(), keyed.acquire("a").unwrap());
        assert!(keyed.acquire("a").is_none());
        let other = keyed.acquire("b").unwrap();
        drop(first);
        let third = keyed.acquire("a").unwrap();
        assert!(keyed.acquire("a").is_none());
        drop((second, third));
        assert_eq!(keyed.counts().keys().collect::<Vec<_>>(), [&"b"]);
        drop(other);
        assert!(keyed.counts().is_empty());
    }

    #[test]
    fn a_limit_of_zero_permits_nothing() {
        let keyed = Arc::new(Keyed::new(0));
        assert!(keyed.acquire("a").is_none());
        assert_eq!(keyed.counts().capacity(), 0);
    }

    #[test]
    fn the_memory_of_a_peak_is_released() {
        let peak = if cfg!(miri) { 500 } else { 10_000 };
        let keyed = Arc::new(Keyed::new(1));
        let mut permits: Vec<_> = (0..peak).map(|key| keyed.acquire(key).unwrap()).collect();
        assert!(keyed.counts().capacity() >= peak);
        permits.truncate(10);
        assert!(keyed.counts().capacity() <= 2 * SMALL, "{}", keyed.counts().capacity());
        assert!(
            permits.iter().all(|permit| keyed.acquire(permit.key).is_none()),
            "the remaining permits still count"
        );
    }

    #[test]
    fn concurrent_acquire_and_release_leave_no_count_behind() {
        let keyed = Arc::new(Keyed::new(3));
        let rounds = if cfg!(miri) { 20 } else { 1_000 };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let keyed = &keyed;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let permit = keyed.acquire((thread + round) % 3);
                        assert!(keyed.counts().values().all(|count| (1..=3).contains(count)));
                        drop(permit);
                    }
                });
            }
        });
        assert!(keyed.counts().is_empty());
    }
}
