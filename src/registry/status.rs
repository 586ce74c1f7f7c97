//! [`TunnelStatus`], a snapshot of an open tunnel.

use std::time::Duration;

use crate::{
    on_tunnel::TunnelInfo,
    tunnel::{Side, Sides, TunnelState, shared::Count, shared::Shared},
};

/// Snapshot of an open tunnel, made by [`Tunnels::list`](crate::Tunnels::list) or
/// [`Tunnels::get`](crate::Tunnels::get).
#[derive(Clone, Debug)]
pub struct TunnelStatus {
    info: TunnelInfo,
    age: Duration,
    idle: Duration,
    state: TunnelState,
    counts: Sides<Count>,
}

impl TunnelStatus {
    pub(super) fn new(info: TunnelInfo, shared: &Shared) -> Self {
        let (age, idle, state) = (shared.age(), shared.idle(), shared.state());
        Self { info, age, idle, state, counts: shared.counts() }
    }

    /// Id, client, path, label, upstream and protocol.
    #[must_use]
    pub fn info(&self) -> &TunnelInfo {
        &self.info
    }

    /// Time since the verified 101.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Time since the last byte in either direction; the age if there was none.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// Stage of the tunnel's life.
    #[must_use]
    pub fn state(&self) -> TunnelState {
        self.state
    }

    /// Bytes sent by `from` that the other side has taken so far, handshake not counted.
    #[must_use]
    pub fn bytes(&self, from: Side) -> u64 {
        self.counts[from].bytes
    }

    /// Complete messages sent by `from` so far; 0 for protocols other than WebSocket.
    #[must_use]
    pub fn messages(&self, from: Side) -> u64 {
        self.counts[from].messages
    }
}
