//! [`Pruned`]: a map that loses the entries that are no longer needed.

use std::{collections::HashMap, hash::Hash};

/// Number of entries below which none is removed.
const SMALL: usize = 64;

/// A map from which the entries that are not needed are removed whenever their number has doubled. The map has at most
/// twice the entries needed, or [`SMALL`], and the checks of an entry are few, however many entries there are.
#[derive(Debug)]
pub(super) struct Pruned<K, V> {
    entries: HashMap<K, V>,
    /// Number of entries at which the next one is added only after a removal.
    prune_at: usize,
}

impl<K: Eq + Hash, V: Clone + Default> Pruned<K, V> {
    /// Returns the value of `key`, which is added if it is missing.
    pub(super) fn get(&mut self, key: K, is_needed: impl Fn(&V) -> bool) -> V {
        if let Some(value) = self.entries.get(&key) {
            return value.clone();
        }
        if self.entries.len() >= self.prune_at {
            self.entries.retain(|_, value| is_needed(value));
            self.prune_at = SMALL.max(self.entries.len() * 2);
            self.entries.shrink_to(self.prune_at);
        }
        self.entries.entry(key).or_default().clone()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<K, V> Default for Pruned<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), prune_at: SMALL }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, sync::Arc};

    use super::*;

    #[test]
    fn checks_are_proportional_to_the_entries() {
        const ENTRIES: usize = 500;
        let mut map = Pruned::<usize, Arc<()>>::default();
        let checks = Cell::new(0);
        for key in 0..ENTRIES {
            map.get(key, |_| {
                checks.set(checks.get() + 1);
                true
            });
        }
        assert_eq!(map.len(), ENTRIES);
        assert!(checks.get() <= 2 * ENTRIES, "{} checks", checks.get());
    }

    #[test]
    fn entries_that_are_not_needed_are_removed() {
        let mut map = Pruned::<usize, Arc<()>>::default();
        let is_needed = |value: &Arc<()>| Arc::strong_count(value) > 1;
        let kept: Vec<_> = (0..10).map(|key| map.get(key, is_needed)).collect();
        for key in 10..1_000 {
            map.get(key, is_needed);
            assert!(map.len() <= SMALL);
        }
        for (key, value) in kept.iter().enumerate() {
            assert!(Arc::ptr_eq(value, &map.get(key, is_needed)));
        }
        assert!(map.entries.capacity() <= 4 * SMALL);
    }
}
