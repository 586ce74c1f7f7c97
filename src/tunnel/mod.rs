//! Two byte streams joined until they end.
//!
//! [`Tunnel`] needs no HTTP: it joins any two `AsyncRead + AsyncWrite`. The layer makes one of
//! every verified upgrade. Each direction is one small state machine ([`direction`]) that holds no
//! buffer while nothing moves, and splices between sockets while much does ([`splice`]).
//! Those of a WebSocket follow its frames ([`frame_relay`], [`frames`]), so that its sides can be told why it
//! ends ([`close_handshake`]). What comes next when no byte moves is the [`lifecycle`]'s to say; one lazy timer
//! ([`clock`]) waits for it. From outside a tunnel is seen and steered by what is in [`shared`].

pub(crate) mod clock;
mod close_frame;
mod close_handshake;
mod close_policy;
mod config;
mod direction;
mod frame_relay;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is spliced there"))]
mod frames;
mod handle;
mod keep_alive;
mod lifecycle;
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
use direction::Direction;
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
pub use summary::{TunnelEnd, TunnelSummary};

pin_project! {
    /// A future that carries bytes between two streams, both ways, until the tunnel ends.
    ///
    /// The two ends are called client and upstream, but they are treated alike. Bytes are copied
    /// verbatim. When one side finishes sending, the other is told so by a shutdown of its write
    /// half, and may go on sending. An error on either side ends both directions at once.
    ///
    /// Of a [`websocket`](Self::websocket) the frames are followed, so that its sides can be told with a
    /// Close why it ends.
    ///
    /// Memory: no buffer while idle; at most 64 KiB per direction for bytes that were read and that
    /// the other side does not take yet. As long as there are any, nothing more is read.
    ///
    /// On Linux, when both ends are tokio's `TcpStream`, a direction in which bytes come in large
    /// pieces goes through a pipe in the kernel,
    /// [`splice(2)`](https://man7.org/linux/man-pages/man2/splice.2.html), and comes back from there
    /// when the pieces get small or the system refuses. A pipe holds 256 KiB at most, is lent only
    /// while bytes stand in it, and no more than 64 are out at a time in one process.
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
    /// Dropping the future drops both streams. Bytes that were read but not yet written are lost.
    #[must_use = "futures do nothing unless polled"]
    pub struct Tunnel<C, U> {
        client: C,
        upstream: U,
        // What comes from each side.
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
    /// Joins `client` and `upstream`. The clock starts now.
    pub fn new(client: C, upstream: U, config: TunnelConfig) -> Self {
        Self::with_shared(client, upstream, Arc::new(config))
    }

    /// [`new`](Self::new), with the configuration of many tunnels.
    pub(crate) fn with_shared(client: C, upstream: U, config: Arc<TunnelConfig>) -> Self {
        Self {
            client,
            upstream,
            directions: Sides {
                client: Direction::new(config.from_client),
                upstream: Direction::new(config.from_upstream),
            },
            lifecycle: Lifecycle::new(config),
            clock: Clock::new(),
        }
    }

    /// The bytes are WebSocket frames ([RFC 6455, 5](https://www.rfc-editor.org/rfc/rfc6455#section-5)),
    /// and the sides are told of the tunnel's end as [`ClosePolicy`] says; then their answer is awaited for
    /// the [close timeout](TunnelConfig::close_timeout). What is no valid framing goes through all the
    /// same, unless the framing is [strict](Framing::Strict).
    ///
    /// To be called before [`early_bytes`](Self::early_bytes). The layer does so for the protocol
    /// `websocket`.
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

    /// Bytes that were already read from either side. They are delivered before anything else, and
    /// count.
    pub fn early_bytes(mut self, from_client: Bytes, from_upstream: Bytes) -> Self {
        self.directions.client.preload(from_client);
        self.directions.upstream.preload(from_upstream);
        self
    }

    /// A handle by which it is seen and can be ended.
    pub fn handle(&mut self) -> TunnelHandle {
        let shared = Arc::clone(self.lifecycle.shared.get_or_insert_with(|| Arc::new(Shared::new())));
        shared.enter(TunnelState::Open);
        TunnelHandle::new(shared)
    }

    /// Seen and steered by way of `shared`.
    pub(crate) fn watched(mut self, shared: Option<Arc<Shared>>) -> Self {
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
            let up = directions.client.poll_copy(cx, client, upstream, directions.upstream.phase());
            lifecycle.sync_pass_through(directions);
            let down = directions.upstream.poll_copy(cx, upstream, client, directions.client.phase());
            if lifecycle.sync_pass_through(directions) {
                cx.waker().wake_by_ref();
            }
            let status =
                Sides { client: directions.client.status(up), upstream: directions.upstream.status(down) };
            let now = Instant::now();
            lifecycle.record(&before, directions, &status, now);
            match lifecycle.next(&status, now) {
                Next::Wait(None) => return Poll::Pending,
                Next::Wait(Some(deadline)) => ready!(this.clock.as_mut().poll_until(cx, deadline)),
                Next::Ping(side) => lifecycle.ping(side, directions, now),
                Next::Close(end) => match lifecycle.close(end, directions, now) {
                    Ok(()) => {}
                    Err(end) => break end,
                },
                Next::Abandon(sides) => lifecycle.abandon(sides, directions),
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

/// Ends the connections of a tunnel: with a reset if that is the end of the other one, and with a shutdown if
/// the tunnel is cut.
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
            // A reset behind the end of a side only means that it discards the bytes it gets.
            if !directions[*side].has_finished() && is_stream_reset(error) {
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
