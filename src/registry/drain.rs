//! [`Drain`], graceful shutdown of all tunnels.

use std::{fmt, sync::Arc, time::Duration};

use super::{DrainConfig, DrainSummary, Tunnels, Watcher, schedule::Schedule};
use crate::tunnel::CloseFrame;

/// Graceful shutdown of all tunnels of any number of layers, before the program exits.
///
/// The server's own graceful shutdown does not end a tunnel: in HTTP/1.1 an upgraded connection is no longer the
/// server's, so it does not wait for it; in HTTP/2 it waits for as long as the tunnel is open. A drain
/// refuses new upgrades, notifies both sides of each tunnel, waits for their responses up to a deadline, and
/// aborts the remaining tunnels.
///
/// ```no_run
/// use std::time::Duration;
/// use axum::Router;
/// use tower_upgrade_proxy::{Drain, UpgradeProxyLayer};
///
/// # async fn run(stop_signal: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
/// let drain = Drain::new();
/// let proxy = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?).drain(drain.watcher());
/// let app: Router = Router::new().nest_service("/ws", proxy.into_service());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let draining = drain.watcher().draining();
/// let server = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(draining).into_future());
///
/// stop_signal.await;
/// let drained = drain.shutdown(Duration::from_secs(30)).await;
/// eprintln!("{drained}"); // 998 closed, 1 finished, 1 aborted, 0 remaining
/// server.await??;
/// # Ok(())
/// # }
/// ```
///
/// Each side of a WebSocket is notified behind the message that is being relayed, as its
/// [`ClosePolicy`](crate::ClosePolicy) demands: by default the connection of the client ends without a Close, and the upstream
/// gets a Close and time to answer. With another protocol the upstream gets the end of the stream. A new upgrade gets 503 with
/// `Retry-After`. Ordinary requests are not affected.
///
/// Clones share the tunnels and the shutdown; each has its own settings.
#[derive(Clone)]
pub struct Drain {
    tunnels: Tunnels,
    config: DrainConfig,
}

impl Drain {
    /// A drain that has not begun, with the settings of [`DrainConfig::new`].
    #[must_use]
    pub fn new() -> Self {
        Self { tunnels: Tunnels::new(), config: DrainConfig::new() }
    }

    /// See [`DrainConfig::close`]. Default: that of each tunnel's [`ClosePolicy`](crate::ClosePolicy).
    #[must_use]
    pub fn close(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.config = self.config.close(close);
        self
    }

    /// See [`DrainConfig::jitter`]. Default: a second for each 2,000 tunnels, and at least one.
    #[must_use]
    pub fn jitter(mut self, jitter: impl Into<Option<Duration>>) -> Self {
        self.config = self.config.jitter(jitter);
        self
    }

    /// Watcher for a layer, set by
    /// [`UpgradeProxyLayer::drain`](crate::UpgradeProxyLayer::drain), or for the server around it.
    #[must_use]
    pub fn watcher(&self) -> Watcher {
        Watcher::new(Arc::clone(self.tunnels.registry()))
    }

    /// The open tunnels of all layers of this drain, to be listed, or drained a few at a time.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.tunnels
    }

    /// Number of open tunnels.
    #[must_use]
    pub fn active(&self) -> usize {
        self.tunnels.len()
    }

    /// Ends all tunnels: each is notified at a random moment within the [jitter](DrainConfig::jitter), and
    /// aborted when `grace` is over.
    ///
    /// Before the call returns, new upgrades are refused and every tunnel has its shutdown request. A
    /// handshake in flight may still become a tunnel, which is then notified immediately. A shutdown can't be
    /// revoked. A `grace` of zero aborts all tunnels now, after their Close if it can be written immediately.
    ///
    /// The future is ready when all tunnels have ended and no handshake is in flight. When `grace` is over, tunnels are
    /// aborted, many thousands within its last quarter, and the future is ready at the latest when none has ended for half
    /// a second. The [`OnTunnel`](crate::OnTunnel) hook of every ended tunnel has returned by then.
    /// Further calls, on clones too, may shorten the time but not prolong it; each counts the tunnels that were
    /// open when it was made.
    ///
    /// # Panics
    ///
    /// The future panics when it is polled outside a tokio runtime with its timer enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not affect the tunnels: their shutdown requests stay in force, and new upgrades
    /// remain refused.
    pub fn shutdown(&self, grace: Duration) -> impl Future<Output = DrainSummary> + Send + 'static {
        let config = self.config.clone().grace(grace);
        self.tunnels.registry().shutdown(Schedule::new(config))
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain")
            .field("active", &self.active())
            .field("is_draining", &self.watcher().is_draining())
            .field("config", &self.config)
            .finish()
    }
}
