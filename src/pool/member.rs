//! [`Member`]: what belongs to an endpoint's id, and [`Lease`], one unit of its load.

use std::sync::{Arc, PoisonError};

use crate::{
    registry::{DrainConfig, Tunnels},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    upstream::Upstream,
};

/// The identity of an endpoint, as long as anything refers to it: tunnels outlive the endpoint's place in the set.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    /// Number of leases. It increases under the lock of the set only, so that a choice by it is exact.
    load: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU32,
    /// Ejections in a row.
    ejections: AtomicU32,
    /// The open tunnels.
    pub(super) tunnels: Tunnels,
    /// The drain of tunnels that open from now on, because the endpoint has been removed or disabled.
    leaving: Mutex<Option<DrainConfig>>,
}

impl Member {
    pub(super) fn new(id: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            id,
            load: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            tunnels: Tunnels::new(),
            leaving: Mutex::new(None),
        })
    }

    /// Counts a failure. Returns true if `limit` is reached. The count stays below it by one, so that the next failure reaches it
    /// again.
    pub(super) fn fail(&self, limit: u32) -> bool {
        let is_reached = self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= limit;
        if is_reached {
            self.failures.store(limit - 1, Ordering::Relaxed);
        }
        is_reached
    }

    /// Ends a row of failures. Returns true if it was ejected in the row.
    pub(super) fn succeed(&self) -> bool {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        self.ejections.load(Ordering::Relaxed) > 0 && self.ejections.swap(0, Ordering::Relaxed) > 0
    }

    /// Counts an ejection. Returns the number of them in a row.
    pub(super) fn add_ejection(&self) -> u32 {
        self.ejections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Acquire)
    }

    /// Drains tunnels that open from now on. Call it under the lock of the set.
    pub(super) fn leave(&self, config: &DrainConfig) {
        *self.leaving() = Some(config.clone());
    }

    /// Keeps tunnels that open from now on. Call it under the lock of the set.
    pub(super) fn stay(&self) {
        *self.leaving() = None;
    }

    fn leaving(&self) -> MutexGuard<'_, Option<DrainConfig>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One unit of an endpoint's load: a handshake and then its tunnel, or a request until the end of its response.
#[derive(Debug)]
pub(crate) struct Lease {
    member: Arc<Member>,
    upstream: Upstream,
}

impl Lease {
    /// Call it under the lock of the set only.
    pub(super) fn new(member: &Arc<Member>, upstream: &Upstream) -> Self {
        member.load.fetch_add(1, Ordering::AcqRel);
        Self { member: Arc::clone(member), upstream: upstream.clone() }
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(super) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Returns the list of the endpoint's tunnels.
    pub(crate) fn tunnels(&self) -> &Tunnels {
        &self.member.tunnels
    }

    /// Drains the tunnel with this id, which has opened, if its endpoint is leaving.
    pub(crate) fn opened(&self, id: u64) {
        let config = self.member.leaving().clone();
        if let Some(config) = config {
            self.member.tunnels.drain_one(id, config);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.member.load.fetch_sub(1, Ordering::AcqRel);
    }
}
