//! [`EndpointStatus`]: a snapshot of an endpoint.

use std::sync::Arc;

use super::{endpoint::Endpoint, member::Member, members::Entry};
use crate::{registry::TunnelStatus, upstream::Upstream};

/// Snapshot of an endpoint of a [`Pool`](crate::Pool).
#[derive(Clone, Debug)]
pub struct EndpointStatus {
    endpoint: Endpoint,
    is_enabled: bool,
    load: usize,
    member: Arc<Member>,
}

impl EndpointStatus {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            endpoint: entry.endpoint.clone(),
            is_enabled: entry.is_enabled,
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

    /// Returns false after [`Pool::disable`](crate::Pool::disable).
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
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
