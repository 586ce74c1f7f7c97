//! Cost of the relay between two connections.
//!
//! A client sends, the far end responds when it has received everything, and the client waits for that. Everything is
//! on one thread, so that a figure is the processor time of both ends, the kernel and the relay together:
//! compare it with others of its row, not with a network's.
//!
//! - Rows are exchanges: `ping_125` (125 bytes each way), `ping_64k` (64 KiB each way), `bulk_16m`
//!   (16 MiB one way, one byte back).
//! - Columns are relays: `direct` none, the baseline; `tunnel` a [`Tunnel`];
//!   `copy` tokio's `copy_bidirectional` (buffers of 8 KiB), and `copy_64k` the same with the
//!   64 KiB that a tunnel reads at once.
//! - `relay/tcp` has sockets on the loopback, where a tunnel on Linux splices `ping_64k` and
//!   `bulk_16m`. `relay/duplex` has memory, where every byte goes through the tunnel's buffer.
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

/// Limit of a single write or read.
const PIECE: usize = 256 * 1024;

const KIB_64: usize = 64 * 1024;

/// Numbers of bytes sent and received.
#[derive(Clone, Copy)]
struct Exchange {
    name: &'static str,
    there: usize,
    back: usize,
}

const EXCHANGES: [Exchange; 3] = [
    Exchange { name: "ping_125", there: 125, back: 125 },
    Exchange { name: "ping_64k", there: KIB_64, back: KIB_64 },
    Exchange { name: "bulk_16m", there: 16 * 1024 * 1024, back: 1 },
];

/// The relay between the two connections.
#[derive(Clone, Copy)]
enum Between {
    Direct,
    Tunnel,
    Copy,
    Copy64k,
}

const BETWEEN: [(&str, Between); 4] = [
    ("direct", Between::Direct),
    ("tunnel", Between::Tunnel),
    ("copy", Between::Copy),
    ("copy_64k", Between::Copy64k),
];

/// One end of an exchange.
struct End<S> {
    stream: S,
    buffer: Box<[u8]>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    /// The buffer is not zero: zeroed memory that was never written is a single page, and always cached.
    fn new(stream: S) -> Self {
        Self { stream, buffer: vec![b'.'; PIECE].into() }
    }

    async fn send(&mut self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(PIECE);
            self.stream.write_all(&self.buffer[..piece]).await.unwrap();
            left -= piece;
        }
    }

    /// Reads this number of bytes; false at the end of the stream.
    async fn receive(&mut self, bytes: usize) -> bool {
        let mut left = bytes;
        while left > 0 {
            let piece = left.min(PIECE);
            match self.stream.read(&mut self.buffer[..piece]).await {
                Ok(read) if read > 0 => left -= read,
                _ => return false,
            }
        }
        true
    }
}

/// Two joined connections with responses to each exchange at the far end. Returns the client's end.
async fn connected<S>(pair: impl AsyncFn() -> (S, S), between: Between, exchange: Exchange) -> End<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (near, mut client) = pair().await;
    let far = match between {
        Between::Direct => client,
        _ => {
            let (mut upstream, far) = pair().await;
            tokio::spawn(async move {
                match between {
                    Between::Direct => {}
                    Between::Tunnel => drop(Tunnel::new(client, upstream, TunnelConfig::new()).await),
                    Between::Copy => drop(copy_bidirectional(&mut client, &mut upstream).await),
                    Between::Copy64k => {
                        drop(copy_bidirectional_with_sizes(&mut client, &mut upstream, KIB_64, KIB_64).await);
                    }
                }
            });
            far
        }
    };
    let mut far = End::new(far);
    tokio::spawn(async move {
        while far.receive(exchange.there).await {
            far.send(exchange.back).await;
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
        let Exchange { there, back, .. } = exchange;
        group.throughput(Throughput::Bytes((there + back) as u64));
        for (column, between) in BETWEEN {
            let mut near = runtime.block_on(connected(&pair, between, exchange));
            group.bench_function(BenchmarkId::new(exchange.name, column), |bencher| {
                bencher.iter_custom(|iterations| {
                    runtime.block_on(async {
                        let start = Instant::now();
                        for _ in 0..iterations {
                            near.send(there).await;
                            assert!(near.receive(back).await, "the connection was closed");
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
