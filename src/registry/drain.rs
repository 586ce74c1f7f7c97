//! [`Drain`]: ending every tunnel politely.

use std::{fmt, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    config::DrainConfig,
    drain_summary::DrainSummary,
    schedule::Schedule,
    tunnels::Tunnels,
    watcher::{Shared, Watcher},
};
use crate::tunnel::CloseFrame;

/// Ends all tunnels of any number of layers before the program does, so that both sides know why.
///
/// Servers let go of a connection when it becomes a tunnel, and so their graceful shutdown does not end
/// one: in HTTP/1.1 it does not wait for tunnels, in HTTP/2 it waits for as long as they stand. A drain
/// refuses new upgrades, tells both sides of each tunnel that it ends, waits for their answers up to a
/// deadline, and cuts what is left then.
///
/// ```no_run
/// use std::time::Duration;
/// use axum::{Router, routing::get};
/// use tower_upgrade_proxy::{Drain, UpgradeProxyLayer};
///
/// # async fn run(stop_signal: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
/// let drain = Drain::new();
/// let proxy = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?).drain(drain.watcher());
/// let app: Router = Router::new().route("/ws/", get("no upgrade")).layer(proxy);
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
/// What each side sees: a WebSocket gets a Close frame, at the next boundary between frames, and its
/// connection ends when it has answered; another protocol gets the end of the stream. A new upgrade gets
/// 503 with `Retry-After`. Ordinary requests are not touched.
///
/// Clones are the same drain, with settings of their own.
#[derive(Clone)]
pub struct Drain {
    shared: Arc<Shared>,
    config: DrainConfig,
}

impl Drain {
    /// A drain that nobody has begun, with the settings of [`DrainConfig::new`].
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared { tunnels: Tunnels::new(), draining: watch::Sender::new(false) };
        Self { shared: Arc::new(shared), config: DrainConfig::new() }
    }

    /// See [`DrainConfig::close`]. Default 1001, "going away".
    #[must_use]
    pub fn close(mut self, close: CloseFrame) -> Self {
        self.config = self.config.close(close);
        self
    }

    /// See [`DrainConfig::jitter`]. Default 1 s.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.config = self.config.jitter(jitter);
        self
    }

    /// What a layer is given, as
    /// [`UpgradeProxyLayer::drain`](crate::UpgradeProxyLayer::drain), to take part.
    #[must_use]
    pub fn watcher(&self) -> Watcher {
        Watcher::new(Arc::clone(&self.shared))
    }

    /// The tunnels that take part, to be listed, or drained a few at a time.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.shared.tunnels
    }

    /// How many tunnels take part.
    #[must_use]
    pub fn active(&self) -> usize {
        self.shared.tunnels.len()
    }

    /// Ends all tunnels: they are told at some moment within the [jitter](DrainConfig::jitter), and cut
    /// when `grace` is over.
    ///
    /// By the call itself, before it returns, new upgrades are refused and every tunnel has its order. A
    /// handshake that was under way may still become a tunnel, which is then told at once. There is no way
    /// back. A `grace` of zero cuts all tunnels now, after their Close if it can be written at once.
    ///
    /// The future is ready when all tunnels have ended and no handshake is under way, or a
    /// moment after `grace` at the latest. The [`OnTunnel`](crate::OnTunnel) hook of every tunnel that has
    /// ended has returned then. Further calls, on clones too, may shorten the time, never prolong it; each
    /// counts the tunnels that were there when it was made.
    ///
    /// # Panics
    ///
    /// The future does when it is polled outside a tokio runtime with its timer enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the tunnels: they end as they were told to, and new upgrades
    /// remain refused.
    pub fn shutdown(&self, grace: Duration) -> impl Future<Output = DrainSummary> + Send + 'static {
        let config = self.config.clone().grace(grace);
        let wait = self.shared.tunnels.registry().close(Schedule::new(config));
        self.shared.draining.send_replace(true);
        wait.drained()
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

#[cfg(all(test, upgrade_proxy_model))]
mod model;
#[cfg(test)]
mod tests;
