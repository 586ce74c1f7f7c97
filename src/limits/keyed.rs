//! Counts by a key.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::Hash,
    sync::{Arc, PoisonError},
};

use crate::{sync::Mutex, sync::MutexGuard};

/// Below it a map is never made smaller.
const SMALL: usize = 64;

/// At most so many places for each key. Only keys of which a place is taken cost memory.
pub(super) struct Keyed<K> {
    limit: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// A place, given back when dropped.
pub(super) struct Place<K: Eq + Hash> {
    of: Arc<Keyed<K>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Keyed<K> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, taken: Mutex::default() }
    }

    /// A place for `key`, if there is one.
    pub(super) fn take(self: &Arc<Self>, key: K) -> Option<Place<K>> {
        if self.limit == 0 {
            return None;
        }
        match self.taken().entry(key.clone()) {
            Entry::Occupied(taken) if *taken.get() >= self.limit => return None,
            Entry::Occupied(mut taken) => *taken.get_mut() += 1,
            Entry::Vacant(none) => {
                none.insert(1);
            }
        }
        Some(Place { of: Arc::clone(self), key })
    }
}

impl<K> Keyed<K> {
    fn taken(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // Whatever panicked, it was not in the middle of a change.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut taken = self.of.taken();
        match taken.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.key);
                // A crowd that has gone leaves no room behind.
                if taken.capacity() > SMALL.max(4 * taken.len()) {
                    let fitting = 2 * taken.len();
                    taken.shrink_to(fitting);
                }
            }
        }
    }
}

impl<K> fmt::Debug for Keyed<K> {
    /// Without the keys: they are addresses of clients.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("limit", &self.limit).field("keys", &self.taken().len()).finish()
    }
}

impl<K: Eq + Hash> fmt::Debug for Place<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places_and_costs_nothing_without_them() {
        let keyed = Arc::new(Keyed::new(2));
        let (first, second) = (keyed.take("a").unwrap(), keyed.take("a").unwrap());
        assert!(keyed.take("a").is_none());
        let other = keyed.take("b").unwrap();
        drop(first);
        let third = keyed.take("a").unwrap();
        assert!(keyed.take("a").is_none());
        drop((second, third));
        assert_eq!(keyed.taken().keys().collect::<Vec<_>>(), [&"b"]);
        drop(other);
        assert!(keyed.taken().is_empty());
    }

    #[test]
    fn where_no_place_is_allowed_none_is_taken() {
        let keyed = Arc::new(Keyed::new(0));
        assert!(keyed.take("a").is_none());
        assert_eq!(keyed.taken().capacity(), 0);
    }

    #[test]
    fn the_memory_of_a_crowd_is_given_back() {
        let crowd = if cfg!(miri) { 500 } else { 10_000 };
        let keyed = Arc::new(Keyed::new(1));
        let mut places: Vec<_> = (0..crowd).map(|key| keyed.take(key).unwrap()).collect();
        assert!(keyed.taken().capacity() >= crowd);
        places.truncate(10);
        assert!(keyed.taken().capacity() <= 2 * SMALL, "{}", keyed.taken().capacity());
        assert!(places.iter().all(|place| keyed.take(place.key).is_none()), "those that stayed count");
    }

    #[test]
    fn threads_that_take_and_give_back_leave_nothing_behind() {
        let keyed = Arc::new(Keyed::new(3));
        let rounds = if cfg!(miri) { 20 } else { 1_000 };
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let keyed = &keyed;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let place = keyed.take((thread + round) % 3);
                        assert!(keyed.taken().values().all(|count| (1..=3).contains(count)));
                        drop(place);
                    }
                });
            }
        });
        assert!(keyed.taken().is_empty());
    }
}
