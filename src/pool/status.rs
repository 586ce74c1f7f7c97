//! [`EndpointStatus`]: a snapshot of an endpoint.

use std::sync::Arc;

use tokio::time::Instant;

use super::{endpoint::Endpoint, member::Member, members::Entry};
use crate::{registry::TunnelStatus, upstream::Upstream};

/// State of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointState {
    /// It can be chosen.
    Ready,
    /// It has failed, and is chosen only if there is no other one ([`Outlier`](crate::Outlier)).
    Ejected,
    /// It is not chosen, after [`Pool::disable`](crate::Pool::disable).
    Disabled,
}

/// Snapshot of an endpoint of a [`Pool`](crate::Pool).
#[derive(Clone, Debug)]
pub struct EndpointStatus {
    endpoint: Endpoint,
    state: EndpointState,
    load: usize,
    member: Arc<Member>,
}

impl EndpointStatus {
    pub(super) fn of(entry: &Entry) -> Self {
        let state = match entry.is_enabled {
            false => EndpointState::Disabled,
            true if entry.is_ejected(Instant::now()) => EndpointState::Ejected,
            true => EndpointState::Ready,
        };
        Self {
            endpoint: entry.endpoint.clone(),
            state,
            load: entry.member.load(),
            member: Arc::clone(&entry.member),
        }
    }

    /// The id, by default the text of the upstream.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.endpoint.id
    }

    /// The upstream.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.endpoint.upstream
    }

    /// The weight.
    #[must_use]
    pub fn weight(&self) -> u16 {
        self.endpoint.weight
    }

    /// The state, at the time of the snapshot.
    #[must_use]
    pub fn state(&self) -> EndpointState {
        self.state
    }

    /// Number of open tunnels, handshakes in flight, and ordinary requests until the ends of their responses, at the time of the snapshot.
    #[must_use]
    pub fn load(&self) -> usize {
        self.load
    }

    /// The open tunnels, at the time of the call.
    #[must_use]
    pub fn tunnels(&self) -> Vec<TunnelStatus> {
        self.member.tunnels.list()
    }
}
