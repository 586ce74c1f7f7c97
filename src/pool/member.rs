//! [`Member`]: what belongs to an endpoint's id, and [`Lease`], one unit of its load.

use std::sync::{Arc, PoisonError};

use crate::{
    registry::{DrainConfig, DrainSummary, Tunnels},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    upstream::Upstream,
};

/// The identity of an endpoint, as long as anything refers to it: tunnels outlive the endpoint's place in the set.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: Arc<str>,
    /// Number of leases. It increases under the lock of the set only, so that a choice by it is exact.
    load: AtomicUsize,
    /// The open tunnels.
    pub(super) tunnels: Tunnels,
    /// The drain of tunnels that open from now on, because the endpoint has been removed or disabled.
    leaving: Mutex<Option<DrainConfig>>,
}

impl Member {
    pub(super) fn new(id: Arc<str>) -> Arc<Self> {
        let (load, tunnels) = (AtomicUsize::new(0), Tunnels::new());
        Arc::new(Self { id, load, tunnels, leaving: Mutex::new(None) })
    }

    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Acquire)
    }

    /// Ends the tunnels, open and future ones.
    pub(super) fn leave(&self, config: DrainConfig) -> impl Future<Output = DrainSummary> + Send + use<> {
        *self.leaving() = Some(config.clone());
        self.tunnels.drain_all(config)
    }

    /// Keeps tunnels that open from now on.
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
