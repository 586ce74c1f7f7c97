//! [`TunnelHandle`] of a running tunnel.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    CloseFrame, Side, TunnelState,
    shared::{Shared, ShutdownRequest},
};
use crate::time::deadline;

/// Handle to a [`Tunnel`](super::Tunnel): its state and counts, and a way to end it. A clone copies a pointer.
///
/// ```no_run
/// # async fn run(client: tokio::net::TcpStream, upstream: tokio::net::TcpStream) {
/// use std::time::Duration;
/// use tower_upgrade_proxy::{CloseFrame, CloseCode, Tunnel, TunnelConfig};
///
/// let mut tunnel = Tunnel::new(client, upstream, TunnelConfig::new()).websocket();
/// let handle = tunnel.handle();
/// tokio::spawn(async move {
///     tokio::signal::ctrl_c().await.ok();
///     handle.end(CloseFrame::new(CloseCode::GOING_AWAY), Duration::from_secs(30));
/// });
/// let summary = tunnel.await;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TunnelHandle(Arc<Shared>);

impl TunnelHandle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Ends the tunnel with [`TunnelEnd::Drained`](crate::TunnelEnd::Drained).
    ///
    /// Each side of a WebSocket is sent `close` behind the message that is being relayed, unless it was sent a Close before,
    /// and has the grace to answer. `None` means the Close of the [`ClosePolicy`](crate::ClosePolicy), which by default is
    /// none for the client. With any other protocol the upstream gets the end of the client's data,
    /// and has the grace to finish too. After the grace the connections are closed, and the end is
    /// [`DrainTimeout`](crate::TunnelEnd::DrainTimeout).
    ///
    /// With several calls, the earliest end of a grace counts.
    pub fn end(&self, close: impl Into<Option<CloseFrame>>, grace: Duration) {
        let now = Instant::now();
        let (close, deadline) = (close.into(), deadline(now, grace));
        self.0.request_shutdown(ShutdownRequest { at: now, deadline, close });
    }

    /// Returns the current state.
    #[must_use]
    pub fn state(&self) -> TunnelState {
        self.0.state()
    }

    /// Returns the time since the tunnel opened.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.age()
    }

    /// Returns the time since the last byte in either direction, or the age if there was none.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.0.idle()
    }

    /// Returns the bytes sent by `from` that the other side has accepted.
    #[must_use]
    pub fn bytes(&self, from: Side) -> u64 {
        self.0.counts()[from].bytes
    }

    /// Returns the complete WebSocket messages sent by `from`.
    #[must_use]
    pub fn messages(&self, from: Side) -> u64 {
        self.0.counts()[from].messages
    }
}
