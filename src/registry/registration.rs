//! A tunnel's memberships in the registries of its layer.

use std::sync::Arc;

use super::{drain_summary::Ended, registry::Membership, tunnels::Tunnels, watcher::HandshakeGuard};
use crate::{on_tunnel::TunnelInfo, tunnel::TunnelEnd, tunnel::shared::Shared};

/// What makes a tunnel visible, held until it has ended. No more than a null pointer when nobody wants to
/// see it.
pub(crate) struct Registration(Option<Box<Registered>>);

struct Registered {
    live: Arc<Shared>,
    memberships: [Option<Membership>; 2],
}

impl Registration {
    /// Registers a tunnel in `tunnels`, and by way of `handshake` with the drain that it came from.
    pub(crate) fn new(
        info: &TunnelInfo,
        tunnels: Option<&Tunnels>,
        handshake: Option<HandshakeGuard>,
    ) -> Self {
        if tunnels.is_none() && handshake.is_none() {
            return Self(None);
        }
        let live = Arc::new(Shared::new());
        let registry = tunnels.map(Tunnels::registry);
        let drained = handshake.as_ref().map(HandshakeGuard::registry);
        let other = registry.filter(|registry| drained.is_none_or(|drained| !Arc::ptr_eq(drained, registry)));
        let memberships = [
            other.map(|registry| registry.register(info, &live)),
            handshake.map(|guard| guard.register(info, &live)),
        ];
        Self(Some(Box::new(Registered { live, memberships })))
    }

    pub(crate) fn live(&self) -> Option<&Arc<Shared>> {
        self.0.as_ref().map(|registered| &registered.live)
    }

    /// The tunnel has ended.
    pub(crate) fn end(self, end: &TunnelEnd) {
        for membership in self.0.into_iter().flat_map(|registered| registered.memberships).flatten() {
            membership.leave(Ended::of(end));
        }
    }
}
