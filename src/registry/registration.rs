//! [`Registration`], the value that keeps a tunnel in its registries.

use std::sync::Arc;

use super::{HandshakeGuard, Registry, Tunnels, drain_summary::Ended};
use crate::{
    on_tunnel::TunnelInfo,
    tunnel::{TunnelEnd, shared::Shared},
};

/// Membership of one tunnel in the registries of its layer, held by the tunnel's task until the tunnel has ended.
///
/// A drop without [`end`](Self::end), as when a runtime shuts down and drops the task, counts as aborted.
pub(crate) struct Registration {
    id: u64,
    shared: Arc<Shared>,
    /// Of [`UpgradeProxyLayer::tunnels`](crate::UpgradeProxyLayer::tunnels), of the endpoint and of the drain.
    registries: [Option<Arc<Registry>>; 3],
    ended: Ended,
}

impl Registration {
    /// Registers a tunnel in `lists`, and in the drain that has admitted its `handshake`.
    ///
    /// `None` without any. In a box, so that a tunnel without a registration holds only a null pointer.
    pub(crate) fn new(
        info: &TunnelInfo,
        lists: [Option<&Tunnels>; 2],
        handshake: Option<HandshakeGuard>,
    ) -> Option<Box<Self>> {
        let drain = handshake.as_ref().map(HandshakeGuard::registry);
        // They are one registry when a layer has both the tunnels and the watcher of one drain.
        let is_other = |list: &&Arc<Registry>| drain.is_none_or(|drain| !Arc::ptr_eq(drain, list));
        let [tunnels, endpoint] = lists.map(|list| list.map(Tunnels::registry).filter(is_other));
        let registries = [tunnels, endpoint, drain].map(Option::<&Arc<Registry>>::cloned);
        if registries.iter().all(Option::is_none) {
            return None;
        }
        let shared = Arc::new(Shared::new());
        let registration = Box::new(Self { id: info.id(), shared, registries, ended: Ended::Aborted });
        for registry in registration.registries.iter().flatten() {
            registry.insert(info, &registration.shared);
        }
        // Released last: the drain must see the handshake or its tunnel at any time.
        drop(handshake);
        Some(registration)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Removes the tunnel, which has ended with `end`.
    pub(crate) fn end(mut self, end: &TunnelEnd) {
        self.ended = Ended::from(end);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for registry in self.registries.iter().flatten() {
            registry.remove(self.id, self.ended);
        }
    }
}
