//! [`Side`], and [`Sides`]: a value for each.

use std::{
    fmt,
    ops::{Index, IndexMut},
};

/// One of the two ends of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The sender of the upgrade request.
    Client,
    /// The server that accepted the upgrade.
    Upstream,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Upstream];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Upstream,
            Self::Upstream => Self::Client,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value for each side, indexed by [`Side`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides<T> {
    pub(crate) client: T,
    pub(crate) upstream: T,
}

impl<T> Sides<T> {
    pub(crate) fn from_fn(mut make: impl FnMut(Side) -> T) -> Self {
        Self { client: make(Side::Client), upstream: make(Side::Upstream) }
    }

    pub(crate) fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> Sides<U> {
        Sides { client: f(&self.client), upstream: f(&self.upstream) }
    }

    pub(crate) fn any(&self, mut predicate: impl FnMut(&T) -> bool) -> bool {
        predicate(&self.client) || predicate(&self.upstream)
    }

    pub(crate) fn all(&self, mut predicate: impl FnMut(&T) -> bool) -> bool {
        predicate(&self.client) && predicate(&self.upstream)
    }

    /// Returns the value of `side`, and that of the other side.
    pub(crate) fn split_mut(&mut self, side: Side) -> (&mut T, &mut T) {
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
