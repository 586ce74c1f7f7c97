//! Shutdown of the program on a signal: first the lame duck, which still serves everything but is not ready any more, then the
//! drain of tunnels, requests and connections.

use std::{
    future::pending,
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    signal,
    sync::{mpsc, watch},
    time::{self, Instant},
};
use tower_upgrade_proxy::{Drain, DrainSummary, Tunnels, Watcher};

use crate::in_progress::InProgress;

/// Minimum time for connections to flush after the end of the last tunnel.
const FLUSH_TIME: Duration = Duration::from_millis(500);

/// Interval at which the log names what the exit waits for.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Times of a shutdown.
pub(crate) struct Times {
    /// Time before the drain begins.
    pub(crate) lame_duck: Duration,
    /// Grace period of tunnels.
    pub(crate) tunnels: Duration,
    /// Grace period of ordinary requests, at most that of tunnels.
    pub(crate) requests: Duration,
    pub(crate) jitter: Option<Duration>,
}

/// Shutdown of the gateway: ends the tunnels, and waits for all connections.
pub(crate) struct Shutdown {
    drain: Drain,
    times: Times,
    is_stopping: Arc<AtomicBool>,
    requests_over: watch::Sender<bool>,
    connections: Connections,
    closed: mpsc::Receiver<()>,
}

/// Handle of work in progress. The shutdown waits until all clones are dropped.
#[derive(Clone)]
pub(crate) struct Work {
    watcher: Watcher,
    requests_over: watch::Receiver<bool>,
    connections: Connections,
    open: Option<mpsc::Sender<()>>,
}

/// Connections that a shutdown waits for, with their requests.
#[derive(Clone, Default)]
struct Connections(Arc<Mutex<Vec<Weak<InProgress>>>>);

impl Connections {
    fn add(&self, requests: &Arc<InProgress>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(requests));
    }

    /// The connections that are still open.
    fn open(&self) -> Vec<Arc<InProgress>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|connection| connection.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Shutdown {
    pub(crate) fn new(times: Times) -> (Self, Work) {
        let (open, closed) = mpsc::channel(1);
        let drain = Drain::new().jitter(times.jitter);
        let (requests_over, over) = watch::channel(false);
        let connections = Connections::default();
        let work = Work {
            watcher: drain.watcher(),
            requests_over: over,
            connections: connections.clone(),
            open: Some(open),
        };
        (Self { drain, times, is_stopping: Arc::default(), requests_over, connections, closed }, work)
    }

    /// Open tunnels.
    pub(crate) fn tunnels(&self) -> &Tunnels {
        self.drain.tunnels()
    }

    /// True from the signal on.
    pub(crate) fn is_stopping(&self) -> &Arc<AtomicBool> {
        &self.is_stopping
    }

    /// Begins the shutdown. New connections and tunnels are refused after the lame duck. Ready when all have ended, or after
    /// the grace period.
    pub(crate) async fn begin(self) {
        let Self { drain, times, is_stopping, requests_over, connections, closed } = self;
        is_stopping.store(true, Ordering::Relaxed);
        if !times.lame_duck.is_zero() {
            tracing::info!(time = ?times.lame_duck, "not ready any more, the drain begins later");
            time::sleep(times.lame_duck).await;
        }
        let (start, grace) = (Instant::now(), times.tunnels);
        tracing::info!(tunnels = drain.active(), ?grace, "draining");
        let (drained, aborted) = (drain.shutdown(grace), AtomicUsize::new(0));
        tokio::select! {
            () = end(drained, closed, start.checked_add(grace), &aborted) => {}
            () = end_requests(times.requests.min(grace), &connections, &requests_over, &aborted) => {}
            () = report(&drain, &connections) => {}
        }
    }
}

/// Waits for the tunnels, and for all connections.
async fn end(
    drained: impl Future<Output = DrainSummary>,
    mut closed: mpsc::Receiver<()>,
    deadline: Option<Instant>,
    aborted: &AtomicUsize,
) {
    let drained = drained.await;
    tracing::info!(%drained, "tunnels ended");
    let flushed = Instant::now() + FLUSH_TIME;
    let deadline = deadline.map_or(flushed, |deadline| deadline.max(flushed));
    let in_time = time::timeout_at(deadline, closed.recv()).await.is_ok();
    let is_clean = drained.is_clean() && aborted.load(Ordering::Relaxed) == 0;
    tracing::info!(in_time = in_time && is_clean, "stopped");
}

/// Ends the ordinary requests after their grace period, and counts those that are aborted. Never ready.
async fn end_requests(
    grace: Duration,
    connections: &Connections,
    requests_over: &watch::Sender<bool>,
    aborted: &AtomicUsize,
) {
    time::sleep(grace).await;
    let number = connections.open().iter().map(|connection| connection.len()).sum::<usize>();
    if number > 0 {
        tracing::info!(aborted = number, "the grace period of requests is over");
        aborted.store(number, Ordering::Relaxed);
    }
    requests_over.send_replace(true);
    pending::<()>().await;
}

/// Names once a second what the exit waits for. Never ready.
async fn report(drain: &Drain, connections: &Connections) {
    loop {
        time::sleep(REPORT_INTERVAL).await;
        let connections = connections.open();
        let requests = connections.iter().map(|connection| connection.len()).sum::<usize>();
        let oldest = connections.iter().filter_map(|connection| connection.oldest());
        let oldest = oldest.min_by_key(|request| request.begun);
        tracing::info!(
            tunnels = drain.active(),
            requests,
            connections = connections.len(),
            oldest_request = oldest.as_ref().map(tracing::field::display),
            age = oldest.as_ref().map(|request| tracing::field::debug(request.begun.elapsed())),
            "waiting"
        );
    }
}

impl Work {
    /// Watcher for the layers.
    pub(crate) fn watcher(&self) -> Watcher {
        self.watcher.clone()
    }

    /// Handle of work that lasts until the end of the process, and that the shutdown does not wait for.
    pub(crate) fn until_exit(&self) -> Self {
        Self { open: None, ..self.clone() }
    }

    /// Ready when the drain begins. Never for work that lasts until the end of the process.
    pub(crate) fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let draining = self.open.is_some().then(|| self.watcher.draining());
        async {
            match draining {
                Some(draining) => draining.await,
                None => pending().await,
            }
        }
    }

    /// Ready when the grace period of ordinary requests is over. In the meantime the shutdown names those of the connection.
    pub(crate) async fn requests_over(&self, requests: &Arc<InProgress>) {
        self.connections.add(requests);
        let mut over = self.requests_over.clone();
        if over.wait_for(|is_over| *is_over).await.is_err() {
            pending::<()>().await;
        }
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
