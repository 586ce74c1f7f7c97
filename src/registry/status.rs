//! [`TunnelStatus`].

use std::time::Duration;

use crate::{
    on_tunnel::TunnelInfo,
    tunnel::{Side, Sides, TunnelState, shared::Count, shared::Shared},
};

/// A tunnel as it was when it was asked for: by [`Tunnels::list`](crate::Tunnels::list) or
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
    pub(super) fn new(info: TunnelInfo, live: &Shared) -> Self {
        let (age, idle, state) = (live.age(), live.idle(), live.state());
        Self { info, age, idle, state, counts: live.counts() }
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
