//! The end of the program: on a signal, and politely.

use std::{io, time::Duration};

use tokio::{
    signal,
    sync::mpsc,
    time::{self, Instant},
};
use tower_upgrade_proxy::{Drain, Tunnels, Watcher};

/// What connections may take, at least, to send what they still hold when the last tunnel has ended.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Ends the tunnels, and waits for all connections.
pub(crate) struct Ending {
    drain: Drain,
    grace: Duration,
    closed: mpsc::Receiver<()>,
}

/// What is waited for, as long as there is a copy.
#[derive(Clone)]
pub(crate) struct Work {
    watcher: Watcher,
    _open: mpsc::Sender<()>,
}

impl Ending {
    pub(crate) fn new(grace: Duration) -> (Self, Work) {
        let (open, closed) = mpsc::channel(1);
        let drain = Drain::new();
        let work = Work { watcher: drain.watcher(), _open: open };
        (Self { drain, grace, closed }, work)
    }

    /// Those that stand.
    pub(crate) fn tunnels(&self) -> &Tunnels {
        self.drain.tunnels()
    }

    /// From here on nothing new is accepted. Ready when nothing is left, or the time is over.
    pub(crate) async fn begin(mut self) {
        let tunnels = self.drain.active();
        let drained = self.drain.shutdown(self.grace);
        let by = Instant::now().checked_add(self.grace);
        tracing::info!(tunnels, grace = ?self.grace, "draining");
        tracing::info!(drained = %drained.await, "tunnels ended");
        let at_least = Instant::now() + AFTERMATH;
        let by = by.map_or(at_least, |by| by.max(at_least));
        let in_time = time::timeout_at(by, self.closed.recv()).await.is_ok();
        tracing::info!(in_time, "stopped");
    }
}

impl Work {
    /// For the layers.
    pub(crate) fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// Ready when it is time to leave.
    pub(crate) fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.watcher.draining()
    }
}

/// SIGTERM and Ctrl-C.
#[cfg(unix)]
pub(crate) struct Signals {
    terminate: signal::unix::Signal,
    interrupt: signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From here on both are ours.
    pub(crate) fn new() -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        signal::ctrl_c().await.unwrap_or_default()
    }
}
