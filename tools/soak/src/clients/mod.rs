//! Clients. Each runs one session after the other until the load ends.

mod disconnects;
mod http;
mod http2;
mod idle;
mod raw;
mod upstream_faults;
mod websocket;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    bytes::Random,
    report::{Counters, Failure, Report},
};

/// Maximum duration of a session; generous, so that slow machines stay below it.
const SESSION_TIMEOUT: Duration = Duration::from_secs(120);

/// Kinds of clients, in the order of the report's table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Echo,
    Http2,
    Bulk,
    Idle,
    OpenAndClose,
    Abort,
    HalfClose,
    SlowReader,
    BadHandshake,
    OrdinaryRequests,
    UpstreamRefuses,
    UpstreamTooSlow,
    UpstreamDisconnects,
    UpstreamRestarts,
}

impl Kind {
    pub(crate) const ALL: [Self; 14] = [
        Self::Echo,
        Self::Http2,
        Self::Bulk,
        Self::Idle,
        Self::OpenAndClose,
        Self::Abort,
        Self::HalfClose,
        Self::SlowReader,
        Self::BadHandshake,
        Self::OrdinaryRequests,
        Self::UpstreamRefuses,
        Self::UpstreamTooSlow,
        Self::UpstreamDisconnects,
        Self::UpstreamRestarts,
    ];

    /// Share of all clients in percent.
    fn share(self) -> usize {
        match self {
            Self::Idle => 25,
            Self::Echo => 18,
            Self::Http2 | Self::UpstreamRestarts => 8,
            Self::OpenAndClose | Self::Abort | Self::Bulk => 6,
            Self::HalfClose | Self::SlowReader | Self::OrdinaryRequests => 4,
            Self::BadHandshake | Self::UpstreamDisconnects | Self::UpstreamTooSlow => 3,
            Self::UpstreamRefuses => 2,
        }
    }

    async fn session(self, client: &mut Client) -> Result<(), Failure> {
        match self {
            Self::Echo => websocket::echo(client).await,
            Self::Http2 => http2::session(client).await,
            Self::Bulk => raw::bulk(client).await,
            Self::Idle => idle::session(client).await,
            Self::OpenAndClose => disconnects::open_and_close(client).await,
            Self::Abort => disconnects::abort(client).await,
            Self::HalfClose => raw::half_close(client).await,
            Self::SlowReader => raw::slow_reader(client).await,
            Self::BadHandshake => http::bad_handshake(client).await,
            Self::OrdinaryRequests => http::ordinary(client).await,
            Self::UpstreamRefuses => upstream_faults::refused(client).await,
            Self::UpstreamTooSlow => upstream_faults::slow(client).await,
            Self::UpstreamDisconnects => upstream_faults::disconnected(client).await,
            Self::UpstreamRestarts => upstream_faults::restarting(client).await,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "echo",
            Self::Http2 => "HTTP/2",
            Self::Bulk => "bulk",
            Self::Idle => "idle",
            Self::OpenAndClose => "open and close",
            Self::Abort => "abort",
            Self::HalfClose => "half-close",
            Self::SlowReader => "slow reader",
            Self::BadHandshake => "bad handshake",
            Self::OrdinaryRequests => "ordinary request",
            Self::UpstreamRefuses => "upstream refuses",
            Self::UpstreamTooSlow => "upstream too slow",
            Self::UpstreamDisconnects => "upstream disconnects",
            Self::UpstreamRestarts => "upstream restarts",
        })
    }
}

/// Settings and report common to all clients.
#[derive(Clone)]
pub(crate) struct Context {
    gateway: SocketAddr,
    seed: u64,
    report: Arc<Report>,
}

impl Context {
    pub(crate) fn new(gateway: SocketAddr, seed: u64, report: Arc<Report>) -> Self {
        Self { gateway, seed, report }
    }
}

/// Client of one kind.
pub(crate) struct Client {
    context: Context,
    kind: Kind,
    random: Random,
    stop: watch::Receiver<bool>,
}

impl Client {
    async fn run(mut self) {
        while !self.is_stopping() {
            let kind = self.kind;
            match timeout(SESSION_TIMEOUT, kind.session(&mut self)).await.unwrap_or(Err(Failure::TimedOut)) {
                Ok(()) => self.counters().session(),
                Err(failure) => self.context.report.failed(kind, &failure),
            }
            let pause = self.random.below(300);
            self.pause(pause).await;
        }
    }

    fn counters(&self) -> &Counters {
        self.context.report.of(self.kind)
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for a number of milliseconds, or until the load ends.
    async fn pause(&self, milliseconds: u64) {
        drop(timeout(Duration::from_millis(milliseconds), self.stopping()).await);
    }

    /// Ready when the load ends.
    fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.clone();
        async move {
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(self.context.gateway).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Running clients.
pub(crate) struct Clients {
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Clients {
    /// Starts about `number` clients, and at least one of each kind. Their starts are spread over two seconds.
    pub(crate) fn start(context: &Context, number: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut running, mut random) = (JoinSet::new(), Random::new(context.seed));
        for kind in Kind::ALL {
            for _ in 0..(number * kind.share() / 100).max(1) {
                let delay = Duration::from_millis(random.below(2000));
                let random = Random::new(random.next());
                let client = Client { context: context.clone(), kind, random, stop: stopped.clone() };
                running.spawn(async move {
                    sleep(delay).await;
                    client.run().await;
                });
            }
        }
        Self { stop, running }
    }

    /// Ends the load, and waits for the current sessions. Returns the number of clients that are still running after the
    /// session timeout.
    pub(crate) async fn stop(mut self) -> usize {
        let _ = self.stop.send(true);
        let all = async { while self.running.join_next().await.is_some() {} };
        let _ = timeout(SESSION_TIMEOUT + Duration::from_secs(10), all).await;
        self.running.len()
    }
}
