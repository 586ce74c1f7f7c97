//! Cost of the relay between two connections.
//!
//! A client sends, the far end responds when it has received everything, and the client waits for the response. Both ends
//! and the relay share one thread, so that a figure is the processor time of all three and of the kernel: it is
//! comparable with others of its row, not with that of a network.
//!
//! - Rows are exchanges: `ping_125` (125 bytes each way), `ping_64k` (64 KiB each way), `bulk_16m`
//!   (16 MiB one way, one byte back).
//! - Columns are relays: `direct` is none, the baseline; `tunnel` is a [`Tunnel`];
//!   `copy` is tokio's `copy_bidirectional` (buffers of 8 KiB), and `copy_64k` the same with buffers of
//!   64 KiB, the size of a tunnel's reads.
//! - `relay/tcp` uses sockets on the loopback interface, where a tunnel on Linux splices `ping_64k` and
//!   `bulk_16m`. `relay/duplex` uses pipes in memory, where all bytes go through the tunnel's buffer.
#![allow(clippy::unwrap_used, reason = "benchmarks fail by panicking")]

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional,
        copy_bidirectional_with_sizes, duplex,
    },
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
};
use tower_upgrade_proxy::{Tunnel, TunnelConfig};

/// Maximum size of a write or read.
const CHUNK: usize = 256 * 1024;

const KIB_64: usize = 64 * 1024;

/// Exchange, with the numbers of bytes that the client sends and receives.
#[derive(Clone, Copy)]
struct Exchange {
    name: &'static str,
    sent: usize,
    received: usize,
}

const EXCHANGES: [Exchange; 3] = [
    Exchange { name: "ping_125", sent: 125, received: 125 },
    Exchange { name: "ping_64k", sent: KIB_64, received: KIB_64 },
    Exchange { name: "bulk_16m", sent: 16 * 1024 * 1024, received: 1 },
];

/// The relay kind the two connections.
#[derive(Clone, Copy)]
enum Relay {
    Direct,
    Tunnel,
    Copy,
    Copy64k,
}

const RELAYS: [(&str, Relay); 4] = [
    ("direct", Relay::Direct),
    ("tunnel", Relay::Tunnel),
    ("copy", Relay::Copy),
    ("copy_64k", Relay::Copy64k),
];

/// One end of an exchange.
struct End<S> {
    stream: S,
    buffer: Box<[u8]>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    /// The buffer is not zero: zeroed memory that was never written is a single page, and always cached.
    fn new(stream: S) -> Self {
        Self { stream, buffer: vec![b'.'; CHUNK].into() }
    }

    async fn send(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let chunk = left.min(CHUNK);
            self.stream.write_all(&self.buffer[..chunk]).await.unwrap();
            left -= chunk;
        }
    }

    /// Reads this number of bytes. Returns false if the stream ends before.
    async fn receive(&mut self, bytes: usize) -> bool {
        let mut left = bytes;
        while left > 0 {
            let chunk = left.min(CHUNK);
            match self.stream.read(&mut self.buffer[..chunk]).await {
                Ok(read) if read > 0 => left -= read,
                _ => return false,
            }
        }
        true
    }
}

/// Connects a client through the relay to a far end that responds to each exchange. Returns the client's end.
async fn connected<S>(pair: impl AsyncFn() -> (S, S), kind: Relay, exchange: Exchange) -> End<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (near, mut client) = pair().await;
    let far = match kind {
        Relay::Direct => client,
        _ => {
            let (mut upstream, far) = pair().await;
            tokio::spawn(async move {
                match kind {
                    Relay::Direct => {}
                    Relay::Tunnel => drop(Tunnel::new(client, upstream, TunnelConfig::new()).await),
                    Relay::Copy => drop(copy_bidirectional(&mut client, &mut upstream).await),
                    Relay::Copy64k => {
                        drop(copy_bidirectional_with_sizes(&mut client, &mut upstream, KIB_64, KIB_64).await);
                    }
                }
            });
            far
        }
    };
    let mut far = End::new(far);
    tokio::spawn(async move {
        while far.receive(exchange.sent).await {
            far.send(exchange.received).await;
        }
    });
    End::new(near)
}

fn relay<S>(criterion: &mut Criterion, runtime: &Runtime, name: &str, pair: impl AsyncFn() -> (S, S))
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut group = criterion.benchmark_group(format!("relay/{name}"));
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for exchange in EXCHANGES {
        let Exchange { sent, received, .. } = exchange;
        group.throughput(Throughput::Bytes((sent + received) as u64));
        for (column, kind) in RELAYS {
            let mut near = runtime.block_on(connected(&pair, kind, exchange));
            group.bench_function(BenchmarkId::new(exchange.name, column), |bencher| {
                bencher.iter_custom(|iterations| {
                    runtime.block_on(async {
                        let start = Instant::now();
                        for _ in 0..iterations {
                            near.send(sent).await;
                            assert!(near.receive(received).await, "the connection was closed");
                        }
                        start.elapsed()
                    })
                });
            });
        }
    }
    group.finish();
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (one, other) = tokio::join!(connecting, listener.accept());
    let (one, (other, _)) = (one.unwrap(), other.unwrap());
    one.set_nodelay(true).unwrap();
    other.set_nodelay(true).unwrap();
    (one, other)
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut criterion = Criterion::default().configure_from_args();
    relay(&mut criterion, &runtime, "tcp", tcp);
    relay(&mut criterion, &runtime, "duplex", async || duplex(KIB_64));
    criterion.final_summary();
}
