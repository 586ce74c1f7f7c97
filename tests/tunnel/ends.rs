//! A tunnel whose two ends a test controls, in memory or between sockets.

use std::{sync::mpsc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    net::TcpStream,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tower_upgrade_proxy::{Side, Tunnel, TunnelConfig, TunnelSummary};

use crate::tcp::{SOCKET_BUFFER, tcp_pair};

/// Stream at an end.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Both ends of a tunnel. A test begins at `near`.
pub(crate) struct Ends {
    pub(crate) near: Box<dyn Stream>,
    pub(crate) far: Box<dyn Stream>,
    pub(crate) near_side: Side,
    /// Bytes that went each way before the test began.
    warm_up: u64,
    tunnel: JoinHandle<TunnelSummary>,
}

/// Result of a tunnel, without the bytes of the warm-up.
pub(crate) struct Ended {
    pub(crate) summary: TunnelSummary,
    pub(crate) sent_by_near: u64,
    pub(crate) sent_by_far: u64,
}

impl Ends {
    pub(crate) fn is_finished(&self) -> bool {
        self.tunnel.is_finished()
    }

    pub(crate) fn abort(&self) {
        self.tunnel.abort();
    }

    /// Maximum number of bytes in transit in one direction if they are not read.
    pub(crate) fn max_in_flight(&self) -> usize {
        // The kernel doubles the size of a socket buffer, and counts its overhead.
        let (sockets, pipe) = (4 * 2 * SOCKET_BUFFER, 256 * 1024);
        if self.warm_up > 0 { sockets + pipe } else { 2 * BUFFER + 64 * 1024 }
    }

    pub(crate) async fn end(self) -> Ended {
        let summary =
            timeout(Duration::from_secs(3600), self.tunnel).await.expect("the tunnel ends").unwrap();
        assert_eq!(summary.spliced() > 0, self.warm_up > 0 && SPLICES, "{summary:?}");
        Ended {
            sent_by_near: sent_by(self.near_side, &summary) - self.warm_up,
            sent_by_far: sent_by(other(self.near_side), &summary) - self.warm_up,
            summary,
        }
    }
}

/// True if the system splices.
const SPLICES: bool = cfg!(target_os = "linux");

pub(crate) const BUFFER: usize = 16 * 1024;

/// The sides of `near` and `far`, in both orders.
pub(crate) const ORDERS: [(Side, Side); 2] = [(Side::Client, Side::Upstream), (Side::Upstream, Side::Client)];

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Upstream,
        Side::Upstream => Side::Client,
    }
}

/// Starts a tunnel between `near` and `far` with `near` on the given side.
pub(crate) fn join<N, F>(near_side: Side, near: N, far: F, config: TunnelConfig) -> JoinHandle<TunnelSummary>
where
    N: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match near_side {
        Side::Client => tokio::spawn(Tunnel::new(near, far, config)),
        Side::Upstream => tokio::spawn(Tunnel::new(far, near, config)),
    }
}

/// Runs `test` in both orders: on streams in memory, with the scratch buffer, and between sockets with both
/// directions in bulk, so that the next bytes are spliced.
pub(crate) async fn each_way(config: TunnelConfig, test: impl AsyncFn(Ends)) {
    for (near_side, _) in ORDERS {
        let (near, near_end) = duplex(BUFFER);
        let (far, far_end) = duplex(BUFFER);
        let tunnel = join(near_side, near_end, far_end, config.clone());
        let (near, far) = (Box::new(near), Box::new(far));
        test(Ends { near, far, near_side, warm_up: 0, tunnel }).await;
    }
    for (near_side, _) in ORDERS {
        test(bulk_ends(near_side, config.clone()).await).await;
    }
}

/// Starts a tunnel between sockets, and makes both directions bulk.
async fn bulk_ends(near_side: Side, config: TunnelConfig) -> Ends {
    no_time_passes(async {
        let Bulk { near, far, tunnel } = Bulk::new(near_side, config).await;
        Ends { near: Box::new(near), far: Box::new(far), near_side, warm_up: WARM_UP as u64, tunnel }
    })
    .await
}

/// A tunnel between sockets with both directions in bulk.
pub(crate) struct Bulk {
    pub(crate) near: TcpStream,
    pub(crate) far: TcpStream,
    pub(crate) tunnel: JoinHandle<TunnelSummary>,
}

/// Bytes that make a direction bulk.
pub(crate) const WARM_UP: usize = 192 * 1024;

impl Bulk {
    pub(crate) async fn new(near_side: Side, config: TunnelConfig) -> Self {
        let ((mut near, near_end), (mut far, far_end)) = (tcp_pair().await, tcp_pair().await);
        let tunnel = join(near_side, near_end, far_end, config);
        pour(&mut near, &mut far, WARM_UP).await;
        pour(&mut far, &mut near, WARM_UP).await;
        Self { near, far, tunnel }
    }
}

async fn pour(from: &mut TcpStream, to: &mut TcpStream, bytes: usize) {
    let (block, mut read) = (vec![0x77; bytes], vec![0; bytes]);
    let (sent, received) = tokio::join!(from.write_all(&block), to.read_exact(&mut read));
    sent.unwrap();
    received.unwrap();
    assert!(read == block);
}

/// Bytes relayed from `side`.
pub(crate) fn sent_by(side: Side, summary: &TunnelSummary) -> u64 {
    summary.bytes(side)
}

/// Stops a paused clock while bytes are in transit. Otherwise it would jump to the next timer as soon as every
/// task waits, since it does not know of bytes in a socket.
pub(crate) async fn no_time_passes<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = mpsc::channel::<()>();
    let blocking = spawn_blocking(move || wait.recv());
    let result = work.await;
    drop(done);
    assert!(blocking.await.unwrap().is_err(), "nothing is sent");
    result
}

pub(crate) async fn expect(stream: &mut (impl AsyncRead + Unpin), expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    no_time_passes(stream.read_exact(&mut read)).await.unwrap();
    assert_eq!(read, expected);
}

pub(crate) async fn expect_eof(stream: &mut (impl AsyncRead + Unpin)) {
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}
