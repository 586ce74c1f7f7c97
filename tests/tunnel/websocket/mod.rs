//! `Tunnel::websocket` between two scripted peers. The clock is paused: a scenario advances it.

mod clock;
mod drain;
mod endings;
mod idle_probe;
mod keep_alive;
pub(crate) mod peer;
pub(crate) mod random;
mod rate;
mod shutdown;
mod sizes;
mod stream;
mod strict;
mod summary;
mod timeouts;
mod transparent;
mod unresponsive;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use test_support::websocket::frame::{BINARY, Frame, frame};
use tokio::{
    io::{AsyncRead, AsyncWrite, duplex},
    task::JoinHandle,
};
use tower_upgrade_proxy::{ClosePolicy, Side, Tunnel, TunnelConfig, TunnelHandle, TunnelSummary};

use crate::{
    ends::{BUFFER, ORDERS},
    tcp::tcp_pair,
};
use clock::frozen;
use peer::Peer;
use stream::{PeerStream, Resettable};

/// A WebSocket tunnel and its two peers. A scenario starts at `near`.
struct Pair {
    near: Peer,
    far: Peer,
    handle: TunnelHandle,
    tunnel: JoinHandle<TunnelSummary>,
    polls: Arc<AtomicUsize>,
    bulk: bool,
}

/// Payload of the message that each side sends to make its direction bulk.
const WARM_UP: usize = 192 * 1024;

/// Runs `scenario` with each side as `near`, on streams in memory and between sockets in bulk.
async fn each_way(config: TunnelConfig, scenario: impl AsyncFn(Pair)) {
    for (near, far) in ORDERS {
        for bulk in [false, true] {
            scenario(Pair::new(near, far, bulk, &config).await).await;
        }
    }
}

/// Runs `scenario` with this side as `near`.
async fn from(near: Side, config: TunnelConfig, scenario: impl AsyncFn(Pair)) {
    let far = ORDERS.into_iter().find(|order| order.0 == near).unwrap().1;
    for bulk in [false, true] {
        scenario(Pair::new(near, far, bulk, &config).await).await;
    }
}

impl Pair {
    async fn new(near: Side, far: Side, bulk: bool, config: &TunnelConfig) -> Self {
        if bulk { Self::in_bulk(near, far, config).await } else { Self::in_memory(near, far, config) }
    }

    fn in_memory(near: Side, far: Side, config: &TunnelConfig) -> Self {
        let [(near, near_end), (far, far_end)] = [near, far].map(|side| {
            let (stream, end) = duplex(BUFFER);
            let reset = Arc::new(AtomicBool::new(false));
            (Peer::new(side, PeerStream::Memory(stream, Arc::clone(&reset))), Resettable(end, reset))
        });
        Self::join(near, near_end, far, far_end, config)
    }

    async fn in_bulk(near: Side, far: Side, config: &TunnelConfig) -> Self {
        let ((a, near_end), (b, far_end)) = frozen(async { (tcp_pair().await, tcp_pair().await) }).await;
        let (near, far) = (Peer::new(near, PeerStream::Socket(a)), Peer::new(far, PeerStream::Socket(b)));
        let mut pair = Self { bulk: true, ..Self::join(near, near_end, far, far_end, config) };
        let message = Frame { first: BINARY, payload: vec![7; WARM_UP] };
        for _ in 0..2 {
            let (bytes, Self { near, far, .. }) = (pair.near.frame(BINARY, &message.payload), &mut pair);
            let ((), received) = tokio::join!(near.send(&bytes), far.next());
            assert!(received.as_ref() == Some(&message));
            std::mem::swap(&mut pair.near, &mut pair.far);
        }
        pair
    }

    fn join<N, F>(near: Peer, near_end: N, far: Peer, far_end: F, config: &TunnelConfig) -> Self
    where
        N: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (handle, tunnel, polls) = match near.side {
            Side::Client => start(Tunnel::new(near_end, far_end, config.clone()).websocket()),
            Side::Upstream => start(Tunnel::new(far_end, near_end, config.clone()).websocket()),
        };
        Self { near, far, handle, tunnel, polls, bulk: false }
    }

    fn is_finished(&self) -> bool {
        self.tunnel.is_finished()
    }

    /// Bytes that the tunnel has written to `near`.
    fn taken_by_near(&self) -> u64 {
        self.handle.bytes(self.far.side)
    }

    /// Number of polls of the tunnel.
    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }

    /// Expects the end of both streams and of the tunnel.
    async fn end(mut self) -> Ended {
        self.near.expect_disconnect().await;
        self.far.expect_disconnect().await;
        self.summary().await
    }

    /// Expects the end of the tunnel.
    async fn summary(self) -> Ended {
        let summary = frozen(self.tunnel).await.unwrap();
        assert_eq!(summary.spliced() > 0, self.bulk && cfg!(target_os = "linux"), "{summary:?}");
        Ended { summary, near: self.near.side, far: self.far.side, bulk: self.bulk }
    }
}

/// Result of a [`Pair`].
#[derive(Debug)]
struct Ended {
    summary: TunnelSummary,
    near: Side,
    far: Side,
    bulk: bool,
}

impl Ended {
    /// Codes in the Closes of the sides, `near` first.
    fn codes(&self) -> (u16, u16) {
        (self.summary.close_code(self.near).unwrap(), self.summary.close_code(self.far).unwrap())
    }

    /// Messages and bytes of `near` without the warm-up.
    fn sent_by_near(&self) -> (u64, u64) {
        let summary = &self.summary;
        let (messages, bytes) = (summary.messages(self.near), summary.bytes(self.near));
        let warm_up = frame(self.near, BINARY, &[7; WARM_UP]).len() as u64;
        if self.bulk { (messages - 1, bytes - warm_up) } else { (messages, bytes) }
    }
}

type Running = (TunnelHandle, JoinHandle<TunnelSummary>, Arc<AtomicUsize>);

fn start<C, U>(mut tunnel: Tunnel<C, U>) -> Running
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    U: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handle = tunnel.handle();
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    let mut tunnel = Box::pin(tunnel);
    let tunnel = tokio::spawn(std::future::poll_fn(move |cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        Pin::as_mut(&mut tunnel).poll(cx)
    }));
    (handle, tunnel, polls)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// No timeouts except the close timeout, and a Close to both sides.
fn config() -> TunnelConfig {
    TunnelConfig::new().idle_timeout(None).half_close_timeout(None).close_policy(ClosePolicy::going_away())
}

/// No Close to either side.
fn no_close() -> ClosePolicy {
    ClosePolicy::from_fn(|_, _| None)
}
