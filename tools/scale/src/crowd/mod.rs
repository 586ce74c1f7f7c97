//! The clients: raw sockets, a small task for each, on the thread of this process.

pub(crate) mod counts;
mod hostile;
mod http1;
mod http2;
pub(crate) mod probe;
mod retrying;

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

pub(crate) use counts::Counts;
pub(crate) use hostile::Hostile;

/// Number of loopback addresses that the clients connect to. Each gives a client all local ports.
const ADDRESSES: usize = 100;

/// Number of handshakes in progress.
const OPENING: usize = 200;

/// Number of streams on a client's HTTP/2 connection, and those of them that are being opened.
pub(crate) const STREAMS: usize = 1000;
const OPENING_STREAMS: usize = 20;

/// Maximum time of a handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Receive buffer of a client that never reads: the proxy has the rest.
const SMALL_BUFFER: u32 = 4096;

/// Reading behaviour of a client.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Reader {
    Reads,
    /// Never reads, while its upstream sends.
    NeverReads,
}

/// Clients of one kind. They disconnect on drop.
pub(crate) struct Crowd {
    port: u16,
    pub(crate) counts: Arc<Counts>,
    say: watch::Sender<()>,
    tasks: JoinSet<()>,
    opening: Arc<Semaphore>,
}

/// What each task of a crowd has.
#[derive(Clone)]
struct Member {
    counts: Arc<Counts>,
    say: watch::Receiver<()>,
    opening: Arc<Semaphore>,
}

impl Crowd {
    /// A crowd without clients, for the proxy on this port.
    pub(crate) fn new(port: u16) -> Self {
        Self {
            port,
            counts: Arc::default(),
            say: watch::Sender::new(()),
            tasks: JoinSet::new(),
            opening: Arc::new(Semaphore::new(OPENING)),
        }
    }

    fn member(&self) -> Member {
        let (counts, opening) = (Arc::clone(&self.counts), Arc::clone(&self.opening));
        Member { counts, say: self.say.subscribe(), opening }
    }

    fn address(&self, client: usize) -> SocketAddr {
        let host = 1 + (client % ADDRESSES) as u8;
        (Ipv4Addr::new(127, 0, 0, host), self.port).into()
    }

    /// Starts clients that open a tunnel over HTTP/1.1 on the route of their number, and hold it.
    pub(crate) fn open_http1(&mut self, clients: Range<usize>, reader: Reader) {
        for client in clients {
            self.open_http1_on(client, client, reader);
        }
    }

    /// Starts a client of a route.
    pub(crate) fn open_http1_on(&mut self, route: usize, client: usize, reader: Reader) {
        self.tasks.spawn(http1::run(self.address(client), route, reader, self.member()));
    }

    /// Starts connections with this number of tunnels each over HTTP/2.
    pub(crate) fn open_http2(&mut self, connections: Range<usize>, streams: usize, reader: Reader) {
        for client in connections {
            self.open_http2_on(client, client, streams, reader);
        }
    }

    /// Starts a connection with tunnels of a route.
    pub(crate) fn open_http2_on(&mut self, route: usize, client: usize, streams: usize, reader: Reader) {
        self.tasks.spawn(http2::run(self.address(client), route, streams, reader, self.member()));
    }

    /// Starts a client of a route that opens its tunnel again whenever it has ended or was refused.
    pub(crate) fn retry(&mut self, route: usize, client: usize) {
        self.tasks.spawn(retrying::run(self.address(client), route, self.member()));
    }

    /// Starts hostile clients.
    pub(crate) fn attack(&mut self, kind: Hostile, clients: usize) {
        for client in 0..clients {
            self.tasks.spawn(hostile::run(kind, self.address(client), client, self.member()));
        }
    }

    /// Every client sends a message on every tunnel.
    pub(crate) fn say(&self) {
        self.say.send_replace(());
    }
}
