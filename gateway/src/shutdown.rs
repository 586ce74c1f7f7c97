//! Shutdown of the program on a signal, with a drain of its tunnels.

use std::{io, time::Duration};

use tokio::{
    signal,
    sync::mpsc,
    time::{self, Instant},
};
use tower_upgrade_proxy::{Drain, Tunnels, Watcher};

/// Minimum time for connections to flush after the end of the last tunnel.
const FLUSH_TIME: Duration = Duration::from_millis(500);

/// Shutdown of the gateway: ends the tunnels, and waits for all connections.
pub(crate) struct Shutdown {
    drain: Drain,
    grace: Duration,
    closed: mpsc::Receiver<()>,
}

/// Handle of work in progress. The shutdown waits until all clones are dropped.
#[derive(Clone)]
pub(crate) struct Work {
    watcher: Watcher,
    _open: mpsc::Sender<()>,
}

impl Shutdown {
    pub(crate) fn new(grace: Duration, jitter: Option<Duration>) -> (Self, Work) {
        let (open, closed) = mpsc::channel(1);
        let drain = Drain::new().jitter(jitter);
        let work = Work { watcher: drain.watcher(), _open: open };
        (Self { drain, grace, closed }, work)
    }

    /// Open tunnels.
    pub(crate) fn tunnels(&self) -> &Tunnels {
        self.drain.tunnels()
    }

    /// Begins the shutdown: new connections and tunnels are refused. Ready when all have ended, or after the grace period.
    pub(crate) async fn begin(mut self) {
        let tunnels = self.drain.active();
        let drained = self.drain.shutdown(self.grace);
        let deadline = Instant::now().checked_add(self.grace);
        tracing::info!(tunnels, grace = ?self.grace, "draining");
        tracing::info!(drained = %drained.await, "tunnels ended");
        let flushed = Instant::now() + FLUSH_TIME;
        let deadline = deadline.map_or(flushed, |deadline| deadline.max(flushed));
        let in_time = time::timeout_at(deadline, self.closed.recv()).await.is_ok();
        tracing::info!(in_time, "stopped");
    }
}

impl Work {
    /// Watcher for the layers.
    pub(crate) fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// Ready when the shutdown begins.
    pub(crate) fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        self.watcher.draining()
    }
}

/// SIGTERM and Ctrl-C. SIGHUP, SIGUSR1 and SIGUSR2 would end the process without a drain, and are ignored.
#[cfg(unix)]
pub(crate) struct Signals {
    terminate: signal::unix::Signal,
    interrupt: signal::unix::Signal,
    hangup: signal::unix::Signal,
    user: [signal::unix::Signal; 2],
}

#[cfg(unix)]
impl Signals {
    /// Replaces the default actions of the signals.
    pub(crate) fn new() -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
        })
    }

    /// Ready at a signal that ends the program.
    pub(crate) async fn next(&mut self) {
        let [first, second] = &mut self.user;
        loop {
            let ignored = tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => "SIGHUP",
                _ = first.recv() => "SIGUSR1",
                _ = second.recv() => "SIGUSR2",
            };
            tracing::info!("{ignored} ignored: the options are read at the start only");
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
