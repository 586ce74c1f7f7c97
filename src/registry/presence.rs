//! A tunnel's places in the registries of its layer.

use std::sync::Arc;

use super::{drain_summary::Outcome, registry::Place, tunnels::Tunnels, watcher::Pass};
use crate::{on_tunnel::TunnelInfo, tunnel::TunnelEnd, tunnel::shared::Shared};

/// What makes a tunnel visible, held until it has ended. No more than a null pointer when nobody wants to
/// see it.
pub(crate) struct Presence(Option<Box<Present>>);

struct Present {
    live: Arc<Shared>,
    places: [Option<Place>; 2],
}

impl Presence {
    /// Registers a tunnel in `tunnels`, and by way of `pass` with the drain that it came from.
    pub(crate) fn new(info: &TunnelInfo, tunnels: Option<&Tunnels>, pass: Option<Pass>) -> Self {
        if tunnels.is_none() && pass.is_none() {
            return Self(None);
        }
        let live = Arc::new(Shared::new());
        let registry = tunnels.map(Tunnels::registry);
        let drained = pass.as_ref().map(Pass::registry);
        let other = registry.filter(|registry| drained.is_none_or(|drained| !Arc::ptr_eq(drained, registry)));
        let places = [
            other.map(|registry| registry.register(info, &live)),
            pass.map(|pass| pass.register(info, &live)),
        ];
        Self(Some(Box::new(Present { live, places })))
    }

    pub(crate) fn live(&self) -> Option<&Arc<Shared>> {
        self.0.as_ref().map(|present| &present.live)
    }

    /// The tunnel has ended.
    pub(crate) fn end(self, end: &TunnelEnd) {
        for place in self.0.into_iter().flat_map(|present| present.places).flatten() {
            place.leave(Outcome::of(end));
        }
    }
}
