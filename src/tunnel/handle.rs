//! [`TunnelHandle`]: a tunnel from outside.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    CloseFrame, Side, TunnelState,
    shared::{Shared, ShutdownRequest},
};
use crate::time::deadline;

/// Sees a [`Tunnel`](super::Tunnel), and can end it. Cloning copies a pointer.
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
    /// The sides of a WebSocket get `close` where a frame of their direction ends, unless they have been
    /// sent one, and have the grace to answer it. Of any other protocol the upstream is told that the
    /// client has finished, and has the grace to finish too. What is left then is cut.
    ///
    /// When it is called again the earlier of both counts.
    pub fn end(&self, close: CloseFrame, grace: Duration) {
        let now = Instant::now();
        self.0.request_shutdown(ShutdownRequest { at: now, deadline: deadline(now, grace), close });
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> TunnelState {
        self.0.state()
    }

    /// How long it has stood.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.age()
    }

    /// How long ago the last byte was.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.0.idle()
    }

    /// Bytes sent by `from` that the other side has taken.
    #[must_use]
    pub fn bytes(&self, from: Side) -> u64 {
        self.0.counts()[from].bytes
    }

    /// Complete WebSocket messages sent by `from`.
    #[must_use]
    pub fn messages(&self, from: Side) -> u64 {
        self.0.counts()[from].messages
    }
}
