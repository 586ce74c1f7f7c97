//! [`TunnelStatus`].

use std::time::Duration;

use crate::{on_tunnel::TunnelInfo, tunnel::TunnelState, tunnel::shared::Count, tunnel::shared::Shared};

/// A tunnel as it was when it was asked for: by [`Tunnels::list`](crate::Tunnels::list) or
/// [`Tunnels::get`](crate::Tunnels::get).
#[derive(Clone, Debug)]
pub struct TunnelStatus {
    info: TunnelInfo,
    age: Duration,
    idle: Duration,
    state: TunnelState,
    from_client: Count,
    from_upstream: Count,
}

impl TunnelStatus {
    pub(super) fn new(info: TunnelInfo, live: &Shared) -> Self {
        let [from_client, from_upstream] = live.counts();
        let (age, idle, state) = (live.age(), live.idle(), live.state());
        Self { info, age, idle, state, from_client, from_upstream }
    }

    /// Which it is: id, client, path, label, upstream and protocol.
    #[must_use]
    pub fn info(&self) -> &TunnelInfo {
        &self.info
    }

    /// Since the verified 101.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Since the last byte in either direction; the age when there was none.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> TunnelState {
        self.state
    }

    /// Bytes the upstream took from the client so far, handshake not counted.
    #[must_use]
    pub fn client_to_upstream(&self) -> u64 {
        self.from_client.bytes
    }

    /// Bytes the client took from the upstream so far, handshake not counted.
    #[must_use]
    pub fn upstream_to_client(&self) -> u64 {
        self.from_upstream.bytes
    }

    /// Complete messages from the client so far; 0 for protocols other than WebSocket.
    #[must_use]
    pub fn messages_from_client(&self) -> u64 {
        self.from_client.messages
    }

    /// Complete messages from the upstream so far; 0 for protocols other than WebSocket.
    #[must_use]
    pub fn messages_from_upstream(&self) -> u64 {
        self.from_upstream.messages
    }
}
