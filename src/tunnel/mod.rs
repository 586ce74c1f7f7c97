//! Two byte streams joined until they end.
//!
//! [`Tunnel`] needs no HTTP: it joins any two `AsyncRead + AsyncWrite`. The layer makes one of
//! every verified upgrade. Each direction is one small state machine ([`copy`]) that holds no
//! buffer while nothing moves, and splices between sockets while much does ([`splice`], [`pipe`]);
//! one lazy timer ([`clock`]) serves all timeouts.

mod clock;
mod close;
mod copy;
#[allow(dead_code, unused_imports, reason = "nothing walks over frames yet")]
mod frames;
mod known;
#[allow(dead_code, reason = "wip")]
pub(crate) mod live;
#[cfg(target_os = "linux")]
mod pipe;
mod scratch;
#[cfg_attr(not(target_os = "linux"), path = "splice_absent.rs")]
mod splice;
mod summary;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use pin_project_lite::pin_project;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use clock::Clock;
pub use close::{Close, CloseCode};
use copy::{Broken, Direction};
use known::{is_stream_reset, reset_on_drop};
pub use live::TunnelState;
use live::{Count, Live};
pub use summary::{Side, TunnelEnd, TunnelSummary};

/// When a tunnel is ended although both sides are still there.
///
/// ```
/// use std::time::Duration;
/// use tower_upgrade_proxy::TunnelConfig;
///
/// let config = TunnelConfig::new()
///     .idle_timeout(Duration::from_secs(300))
///     .half_close_timeout(None)
///     .max_lifetime(Duration::from_secs(86_400));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelConfig {
    idle: Option<Duration>,
    half_close: Option<Duration>,
    lifetime: Option<Duration>,
}

impl TunnelConfig {
    /// Idle 60 s, half-closed 30 s, no limit of lifetime.
    #[must_use]
    pub fn new() -> Self {
        Self {
            idle: Some(Duration::from_secs(60)),
            half_close: Some(Duration::from_secs(30)),
            lifetime: None,
        }
    }

    /// Ends the tunnel when no byte came for this long, in either direction. Default 60 s, like
    /// nginx's `proxy_read_timeout`; `None` switches it off.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle = timeout.into();
        self
    }

    /// Ends the tunnel when one side has finished sending and the other sent no byte for this
    /// long. Default 30 s; `None` leaves it to the idle timeout.
    #[must_use]
    pub fn half_close_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.half_close = timeout.into();
        self
    }

    /// Ends the tunnel at this age, busy or not. Default `None`, no limit.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.lifetime = lifetime.into();
        self
    }
}

impl Default for TunnelConfig {
    fn default() -> Self {
        Self::new()
    }
}

pin_project! {
    /// A future that carries bytes between two streams, both ways, until the tunnel ends.
    ///
    /// The two ends are called client and upstream, but they are treated alike. Bytes are copied
    /// verbatim. When one side finishes sending, the other is told so by a shutdown of its write
    /// half, and may go on sending. An error on either side ends both directions at once.
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
    /// use tower_upgrade_proxy::{Tunnel, TunnelConfig};
    ///
    /// let (mut client, client_end) = tokio::io::duplex(1024);
    /// let (mut upstream, upstream_end) = tokio::io::duplex(1024);
    /// let tunnel = tokio::spawn(Tunnel::new(client_end, upstream_end, TunnelConfig::new()));
    ///
    /// client.write_all(b"hello").await?;
    /// client.shutdown().await?;
    /// let mut heard = String::new();
    /// upstream.read_to_string(&mut heard).await?;
    /// drop(upstream);
    ///
    /// let summary = tunnel.await?;
    /// assert_eq!(heard, "hello");
    /// assert_eq!(summary.client_to_upstream(), 5);
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
        up: Direction,
        down: Direction,
        first_to_finish: Option<Side>,
        live: Option<Arc<Live>>,
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
            up: Direction::new(),
            down: Direction::new(),
            first_to_finish: None,
            live: None,
            clock: Clock::new(config),
        }
    }

    /// Seen and steered by way of `live`.
    pub(crate) fn watched(mut self, live: Option<Arc<Live>>) -> Self {
        self.live = live;
        self
    }

    /// Bytes that were already read from either side. They are delivered before anything else, and
    /// count.
    pub fn early_bytes(mut self, from_client: Bytes, from_upstream: Bytes) -> Self {
        self.up.preload(from_client);
        self.down.preload(from_upstream);
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
        let before = this.up.total() + this.down.total();
        // Both are polled before either result is looked at: when one side is gone, what it sent
        // before it went still arrives.
        let up = this.up.poll_copy(cx, this.client, this.upstream, this.down.done());
        let down = this.down.poll_copy(cx, this.upstream, this.client, this.up.done());
        if this.first_to_finish.is_none() {
            *this.first_to_finish = match (this.up.finished(), this.down.finished()) {
                (true, _) => Some(Side::Client),
                (_, true) => Some(Side::Upstream),
                _ => None,
            };
        }
        let moved = this.up.total() + this.down.total() > before;
        if let Some(live) = this.live
            && moved
        {
            live.record([this.up.total(), this.down.total()].map(|bytes| Count { bytes, messages: 0 }));
        }
        let end = match (up, down, *this.first_to_finish) {
            (Poll::Ready(Err(broken)), ..) => failed(broken, Side::Client, Side::Upstream),
            (_, Poll::Ready(Err(broken)), _) => failed(broken, Side::Upstream, Side::Client),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(())), Some(first)) => TunnelEnd::Closed { first },
            (.., first) => match this.clock.as_mut().poll_expired(cx, moved, first.is_some()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(end) => {
                    // The farewell (FIN, close_notify) goes out if it can go out at once.
                    let _ = Pin::new(&mut *this.client).poll_shutdown(cx);
                    let _ = Pin::new(&mut *this.upstream).poll_shutdown(cx);
                    end
                }
            },
        };
        match &end {
            // After its end a reset only says that it wants no more.
            TunnelEnd::Failed { side: Side::Client, error }
                if !this.up.finished() && is_stream_reset(error) =>
            {
                reset_on_drop(this.upstream);
            }
            TunnelEnd::Failed { side: Side::Upstream, error }
                if !this.down.finished() && is_stream_reset(error) =>
            {
                reset_on_drop(this.client);
            }
            _ => {}
        }
        let duration = Instant::now() - this.clock.opened();
        let summary = TunnelSummary::new(this.up.total(), this.down.total(), duration, end);
        Poll::Ready(summary.with_spliced(this.up.spliced() + this.down.spliced()))
    }
}

/// Which side an error belongs to, in the direction that goes from `reader` to `writer`.
fn failed(broken: Broken, reader: Side, writer: Side) -> TunnelEnd {
    match broken {
        Broken::Read(error) => TunnelEnd::Failed { side: reader, error },
        Broken::Write(error) => TunnelEnd::Failed { side: writer, error },
    }
}

impl<C, U> fmt::Debug for Tunnel<C, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("client_to_upstream", &self.up.total())
            .field("upstream_to_client", &self.down.total())
            .finish_non_exhaustive()
    }
}
