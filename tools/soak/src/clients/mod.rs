//! The clients: each runs one session after the other until it is stopped.

mod broken;
mod faulty;
mod frames;
mod http;
mod http2;
mod idle;
mod raw;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    bytes::Random,
    report::{Fault, Report, Tally},
};

/// Time limit of a session, on any machine.
const LONGEST: Duration = Duration::from_secs(120);

/// The kinds of clients, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Echo,
    Http2,
    Bulk,
    Idle,
    Brief,
    Abort,
    HalfClose,
    Slow,
    Bad,
    Ordinary,
    Refused,
    Late,
    Broken,
    Outage,
}

impl Kind {
    pub(crate) const ALL: [Self; 14] = [
        Self::Echo,
        Self::Http2,
        Self::Bulk,
        Self::Idle,
        Self::Brief,
        Self::Abort,
        Self::HalfClose,
        Self::Slow,
        Self::Bad,
        Self::Ordinary,
        Self::Refused,
        Self::Late,
        Self::Broken,
        Self::Outage,
    ];

    /// Percentage of the clients that are of this kind.
    fn share(self) -> usize {
        match self {
            Self::Idle => 25,
            Self::Echo => 18,
            Self::Http2 | Self::Outage => 8,
            Self::Brief | Self::Abort | Self::Bulk => 6,
            Self::HalfClose | Self::Slow | Self::Ordinary => 4,
            Self::Bad | Self::Broken | Self::Late => 3,
            Self::Refused => 2,
        }
    }

    async fn session(self, client: &mut Client) -> Result<(), Fault> {
        match self {
            Self::Echo => frames::echo(client).await,
            Self::Http2 => http2::session(client).await,
            Self::Bulk => raw::bulk(client).await,
            Self::Idle => idle::session(client).await,
            Self::Brief => broken::brief(client).await,
            Self::Abort => broken::abort(client).await,
            Self::HalfClose => raw::half_close(client).await,
            Self::Slow => raw::slow(client).await,
            Self::Bad => http::bad(client).await,
            Self::Ordinary => http::ordinary(client).await,
            Self::Refused => faulty::refused(client).await,
            Self::Late => faulty::late(client).await,
            Self::Broken => faulty::broken(client).await,
            Self::Outage => faulty::outage(client).await,
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
            Self::Brief => "open and close",
            Self::Abort => "abort",
            Self::HalfClose => "half-close",
            Self::Slow => "slow reader",
            Self::Bad => "bad handshake",
            Self::Ordinary => "ordinary request",
            Self::Refused => "upstream refuses",
            Self::Late => "upstream too late",
            Self::Broken => "upstream breaks off",
            Self::Outage => "upstream restarts",
        })
    }
}

/// What all clients share.
#[derive(Clone)]
pub(crate) struct Shared {
    gateway: SocketAddr,
    seed: u64,
    report: Arc<Report>,
}

impl Shared {
    pub(crate) fn new(gateway: SocketAddr, seed: u64, report: Arc<Report>) -> Self {
        Self { gateway, seed, report }
    }
}

/// A client. Unlike those of the tests, it reports a failure as a [`Fault`] and goes on.
pub(crate) struct Client {
    shared: Shared,
    kind: Kind,
    random: Random,
    stop: watch::Receiver<bool>,
}

impl Client {
    async fn run(mut self) {
        while !self.is_stopping() {
            let kind = self.kind;
            match timeout(LONGEST, kind.session(&mut self)).await.unwrap_or(Err(Fault::Stuck)) {
                Ok(()) => self.tally().session(),
                Err(fault) => self.shared.report.complain(kind, &fault),
            }
            let pause = self.random.below(300);
            self.pause(pause).await;
        }
    }

    fn tally(&self) -> &Tally {
        self.shared.report.of(self.kind)
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits for a time, or until the client is stopped.
    async fn pause(&self, milliseconds: u64) {
        drop(timeout(Duration::from_millis(milliseconds), self.stopping()).await);
    }

    /// Waits until the client is stopped.
    fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.clone();
        async move {
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    async fn connect(&self) -> Result<TcpStream, Fault> {
        let stream = TcpStream::connect(self.shared.gateway).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// The running clients.
pub(crate) struct Clients {
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

impl Clients {
    /// Starts `number` clients, at least one of each kind, at random moments of the first two seconds.
    pub(crate) fn start(shared: &Shared, number: usize) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (mut running, mut random) = (JoinSet::new(), Random::new(shared.seed));
        for kind in Kind::ALL {
            for _ in 0..(number * kind.share() / 100).max(1) {
                let delay = Duration::from_millis(random.below(2000));
                let random = Random::new(random.next());
                let client = Client { shared: shared.clone(), kind, random, stop: stopped.clone() };
                running.spawn(async move {
                    sleep(delay).await;
                    client.run().await;
                });
            }
        }
        Self { stop, running }
    }

    /// Waits until each has finished its session. Returns the number of clients that have not, after the time limit.
    pub(crate) async fn stop(mut self) -> usize {
        let _ = self.stop.send(true);
        let all = async { while self.running.join_next().await.is_some() {} };
        let _ = timeout(LONGEST + Duration::from_secs(10), all).await;
        self.running.len()
    }
}
