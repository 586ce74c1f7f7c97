//! What there is of each side.

use std::ops::{Index, IndexMut};

use super::summary::Side;

/// One for the client and one for the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sides<T> {
    pub(super) client: T,
    pub(super) upstream: T,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Client, Self::Upstream];

    pub(super) fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }
}

impl<T> Sides<T> {
    pub(super) fn of(mut make: impl FnMut(Side) -> T) -> Self {
        Self { client: make(Side::Client), upstream: make(Side::Upstream) }
    }

    pub(super) fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> Sides<U> {
        Sides { client: f(&self.client), upstream: f(&self.upstream) }
    }

    pub(super) fn both(&self) -> [&T; 2] {
        [&self.client, &self.upstream]
    }

    /// That of `side`, and that of the other.
    pub(super) fn split_mut(&mut self, side: Side) -> (&mut T, &mut T) {
        match side {
            Side::Client => (&mut self.client, &mut self.upstream),
            Side::Upstream => (&mut self.upstream, &mut self.client),
        }
    }
}

impl<T> Index<Side> for Sides<T> {
    type Output = T;

    fn index(&self, side: Side) -> &T {
        match side {
            Side::Client => &self.client,
            Side::Upstream => &self.upstream,
        }
    }
}

impl<T> IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        self.split_mut(side).0
    }
}
