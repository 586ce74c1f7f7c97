//! The tunnel engine: two byte streams joined until they end.
//!
//! A [`Tunnel`] is a future over any two `AsyncRead + AsyncWrite`, and needs no HTTP. For each verified
//! handshake the [upgrade](crate::upgrade) spawns one as a task. A poll repeats three steps:
//!
//! 1. Each [`direction`], from the client and from the upstream, moves bytes until it has to wait. Both are
//!    polled before either result counts, so that the last bytes of a failing side still arrive.
//! 2. The [`lifecycle`] records the progress and decides, from a snapshot of both directions and the time,
//!    without IO: wait, send a Ping, close, or end. Its module has the state table.
//! 3. The tunnel carries the decision out. To wait is to return, with a timer ([`clock`]) for the deadline.
//!
//! A direction without traffic holds no buffer: reads go to a buffer of the thread ([`scratch`]), and only
//! bytes that the writer does not accept are stored ([`pending`]). Bulk between sockets is moved in the kernel
//! ([`splice`]). In a WebSocket each direction relays frames ([`frame_relay`], [`frames`]), so that the proxy
//! can send Pings and a Close of its own. Everything that exists twice is in a [`Sides`].
//!
//! | file | content |
//! | --- | --- |
//! | `mod` | [`Tunnel`]: connections, poll |
//! | `side` | [`Side`], [`Sides`] |
//! | `direction/` | copy of bytes from one side to the other: read, write, flush, half-close |
//! | `scratch`, `pending`, `rate`, `splice/` | its read buffer, write buffer, token bucket and kernel path |
//! | `frame_relay/`, `frames/` | its frames: inspection and injection; the parser |
//! | `lifecycle/` | state and decisions |
//! | `close_handshake`, `keep_alive`, `clock`, `pace`, `random` | its parts: the end of a tunnel, Pings, timer, mass timeouts, jitter |
//! | `config`, `close_policy`, `close_frame` | configuration |
//! | `shared`, `handle` | state that others can read, and the way to request a shutdown |
//! | `end`, `summary` | the result |
//!
//! # Memory
//!
//! An idle tunnel without frames takes two sockets (512 bytes of tokio's for both), a task of some 256 bytes
//! and a box of some 320 bytes with both directions, the clock and one timer. The upgrade has a box of its
//! own, which is freed when it is over. Timeouts are shared with the layer. Pending bytes are in a box that
//! exists only while there are any. `tests/idle_memory` measures the sum.
//!
//! # Shutdown of the connections
//!
//! When a timeout, a limit or a drain ends a tunnel, both connections are shut down if that is possible at once
//! (a FIN, or the `close_notify` of TLS). After an error they are not, so that a TLS peer can distinguish a
//! failure from an end. When a stream in HTTP/2 is reset, the other connection is [reset](crate::io) too.

mod clock;
mod close_frame;
mod close_handshake;
mod close_policy;
mod config;
mod direction;
mod end;
mod frame_relay;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is spliced there"))]
mod frames;
mod handle;
mod keep_alive;
mod lifecycle;
mod pace;
mod pending;
mod random;
mod rate;
mod scratch;
pub(crate) mod shared;
mod side;
mod splice;
mod summary;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use crate::io::any_io::{as_any_io, is_stream_reset};
use clock::Clock;
pub use close_frame::{CloseCode, CloseFrame};
pub use close_policy::ClosePolicy;
pub use config::{Framing, TunnelConfig};
use direction::{Direction, Phase};
pub use end::{Initiator, TunnelEnd};
use frame_relay::FrameRelay;
#[cfg(any(test, upgrade_proxy_fuzz))]
pub(crate) use frames::check as check_frames;
pub use handle::TunnelHandle;
pub use keep_alive::KeepAlive;
use lifecycle::{Lifecycle, Next, Progress};
pub use rate::RateLimit;
use shared::Shared;
pub use shared::TunnelState;
pub use side::Side;
pub(crate) use side::Sides;
pub use summary::{Told, TunnelSummary};

pin_project! {
    /// A future that copies bytes between two streams in both directions until they end.
    ///
    /// The two streams are called client and upstream, but are treated alike. Bytes are copied without a change.
    /// When one side finishes sending, the write half of the other is shut down, and the other may continue to
    /// send. An error on either side ends both directions at once.
    ///
    /// In a [`websocket`](Self::websocket) the frames are followed, so that the sides get a Close with the
    /// reason of the end.
    ///
    /// Memory: no buffer while idle; at most 64 KiB per direction for bytes that were read and that the other
    /// side has not accepted yet. While there are such bytes, nothing more is read.
    ///
    /// On Linux, if both streams are tokio's `TcpStream`, a direction with large reads uses a pipe in the
    /// kernel ([`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html)), until reads become small or
    /// the system refuses. A pipe holds at most 256 KiB, and is in use only while it holds bytes. At most 64
    /// are in use in a process.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use tower_upgrade_proxy::{Side, Tunnel, TunnelConfig};
    ///
    /// let (mut client, client_end) = tokio::io::duplex(1024);
    /// let (mut upstream, upstream_end) = tokio::io::duplex(1024);
    /// let tunnel = tokio::spawn(Tunnel::new(client_end, upstream_end, TunnelConfig::new()));
    ///
    /// client.write_all(b"hello").await?;
    /// client.shutdown().await?;
    /// let mut received = String::new();
    /// upstream.read_to_string(&mut received).await?;
    /// drop(upstream);
    ///
    /// let summary = tunnel.await?;
    /// assert_eq!(received, "hello");
    /// assert_eq!(summary.bytes(Side::Client), 5);
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When polled outside a tokio runtime with its timer enabled, unless every timeout is off.
    ///
    /// # Cancel safety
    ///
    /// A drop of the future drops both streams. Bytes that were read but not yet written are lost.
    #[must_use = "futures do nothing unless polled"]
    pub struct Tunnel<C, U> {
        client: C,
        upstream: U,
        // By the side of the reader.
        directions: Sides<Direction>,
        lifecycle: Lifecycle,
        #[pin]
        clock: Clock,
    }
}

impl<C, U> Tunnel<C, U>
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
    U: AsyncRead + AsyncWrite + Unpin + 'static,
{
    /// Joins `client` and `upstream`. All timeouts start now.
    pub fn new(client: C, upstream: U, config: TunnelConfig) -> Self {
        Self::with_config(client, upstream, Arc::new(config))
    }

    /// [`new`](Self::new) with a configuration for many tunnels.
    pub(crate) fn with_config(client: C, upstream: U, config: Arc<TunnelConfig>) -> Self {
        Self {
            client,
            upstream,
            directions: config.rate_limits.map(|limit| Direction::new(*limit)),
            lifecycle: Lifecycle::new(config),
            clock: Clock::new(),
        }
    }

    /// Treats the bytes as WebSocket frames ([RFC 6455, 5](https://www.rfc-editor.org/rfc/rfc6455#section-5)):
    /// when the tunnel ends, the sides get a Close according to the [`ClosePolicy`], and have the
    /// [close timeout](TunnelConfig::close_timeout) to answer. Invalid framing is relayed, unless framing is
    /// [strict](Framing::Strict).
    ///
    /// Call it before [`early_bytes`](Self::early_bytes). The layer does so for the protocol `websocket`.
    pub fn websocket(mut self) -> Self {
        if self.lifecycle.config.framing == Framing::Ignore {
            return self;
        }
        for side in Side::BOTH {
            self.directions[side].follow(FrameRelay::new(side, Arc::clone(&self.lifecycle.config)));
        }
        self.lifecycle.start_keep_alive();
        self
    }

    /// Sets bytes that were already read from either side. They are delivered first, and are counted.
    pub fn early_bytes(mut self, from_client: Bytes, from_upstream: Bytes) -> Self {
        self.directions.client.preload(from_client);
        self.directions.upstream.preload(from_upstream);
        self
    }

    /// Returns a handle to the state of the tunnel, which can end it too.
    pub fn handle(&mut self) -> TunnelHandle {
        let shared = Arc::clone(self.lifecycle.shared.get_or_insert_with(|| Arc::new(Shared::new())));
        shared.enter(TunnelState::Open);
        TunnelHandle::new(shared)
    }

    /// Shares state with the owners of `shared`.
    pub(crate) fn sharing(mut self, shared: Option<Arc<Shared>>) -> Self {
        self.lifecycle.shared = shared;
        self.lifecycle.enter(TunnelState::Open);
        self
    }
}

impl<C, U> Future for Tunnel<C, U>
where
    C: AsyncRead + AsyncWrite + Unpin + 'static,
    U: AsyncRead + AsyncWrite + Unpin + 'static,
{
    type Output = TunnelSummary;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TunnelSummary> {
        let mut this = self.project();
        let (client, upstream, directions) = (this.client, this.upstream, this.directions);
        let lifecycle = this.lifecycle;
        let end = loop {
            lifecycle.poll_shutdown_request(cx);
            let before = directions.map(Progress::of);
            // Both are polled before either result counts: bytes that a side sent before it failed still arrive.
            let from_client = directions.client.poll_copy(cx, client, upstream, directions.upstream.phase());
            lifecycle.sync_pass_through(directions);
            let from_upstream =
                directions.upstream.poll_copy(cx, upstream, client, directions.client.phase());
            if lifecycle.sync_pass_through(directions) {
                cx.waker().wake_by_ref();
            }
            let status = Sides {
                client: directions.client.status(from_client),
                upstream: directions.upstream.status(from_upstream),
            };
            let now = Instant::now();
            lifecycle.record(&before, directions, &status, now);
            match lifecycle.next(&status, now) {
                Next::Wait(None) => return Poll::Pending,
                Next::Wait(Some(deadline)) => ready!(this.clock.as_mut().poll_until(cx, deadline)),
                Next::Ping(side) => lifecycle.ping(side, directions, now),
                Next::Close(end) => match lifecycle.postponed(&end, now) {
                    Some(turn) => ready!(this.clock.as_mut().poll_until(cx, turn)),
                    None => match lifecycle.close(end, directions, &status, now) {
                        Ok(()) => {}
                        Err(end) => break end,
                    },
                },
                Next::Abandon(sides) => lifecycle.abandon(sides, directions),
                Next::Probe => lifecycle.probe(directions),
                Next::Shutdown(sides) => {
                    lifecycle.shut_down(sides, cx, Sides { client, upstream }, now);
                }
                Next::Release(sides) => {
                    lifecycle.release(sides, cx, Sides { client, upstream }, directions);
                }
                Next::End(end) => break end,
            }
        };
        end_connections(cx, client, upstream, &end, lifecycle, directions);
        Poll::Ready(lifecycle.summary(end, directions))
    }
}

/// Prepares both connections for their drop: nothing to do after an orderly end, a reset after the reset of the
/// other connection, and otherwise a shutdown, unless the tunnel has failed without a close handshake.
fn end_connections<C, U>(
    cx: &mut Context<'_>,
    client: &mut C,
    upstream: &mut U,
    end: &TunnelEnd,
    lifecycle: &Lifecycle,
    directions: &Sides<Direction>,
) where
    C: AsyncWrite + Unpin + 'static,
    U: AsyncWrite + Unpin + 'static,
{
    match end {
        TunnelEnd::Closed { .. } => {}
        TunnelEnd::Failed { side, error } if !lifecycle.is_closing() => {
            // A reset after the end of a side only means that the side accepts no more bytes.
            if directions[*side].phase() == Phase::Running && is_stream_reset(error) {
                let other = match side {
                    Side::Client => as_any_io(upstream),
                    Side::Upstream => as_any_io(client),
                };
                if let Some(other) = other {
                    other.reset_on_drop();
                }
            }
        }
        _ => {
            // FIN or `close_notify`, if it can be sent at once.
            let _ = Pin::new(client).poll_shutdown(cx);
            let _ = Pin::new(upstream).poll_shutdown(cx);
        }
    }
}

impl<C, U> fmt::Debug for Tunnel<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("client_to_upstream", &self.directions.client.written())
            .field("upstream_to_client", &self.directions.upstream.written())
            .finish_non_exhaustive()
    }
}
