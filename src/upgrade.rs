//! From a verified agreement to a running tunnel.

use std::{
    future::{poll_fn, ready},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    config::Config, connect::Connection, handshake::Handshake, handshake::Mechanism, handshake::is_websocket,
    io::transport::Transport, limits::Admission, metrics, on_tunnel::OnTunnel, on_tunnel::TunnelInfo,
    registry::Pass, registry::Presence, trace, tunnel::Tunnel, tunnel::TunnelConfig, tunnel::TunnelEnd,
    tunnel::TunnelSummary, tunnel::shared::Count, tunnel::shared::Shared, tunnel::shared::ShutdownRequest,
};

/// Both halves of a tunnel, before either has let go of HTTP.
pub(crate) struct Opening {
    pub(crate) handshake: Handshake,
    pub(crate) connection: Connection,
    pub(crate) info: TunnelInfo,
    pub(crate) admission: Admission,
    pub(crate) pass: Option<Pass>,
}

/// What stays with a tunnel to its end.
struct Observed {
    info: TunnelInfo,
    hook: Option<Arc<dyn OnTunnel>>,
    span: trace::Span,
    counted: metrics::Tunnel,
    presence: Presence,
    _admission: Admission,
}

/// A tunnel between two sockets, which can splice, or between anything.
type AnyTunnel = Pin<Box<dyn Future<Output = TunnelSummary> + Send>>;

/// Both sides of a tunnel, on their way out of HTTP.
struct Halves {
    mechanism: Mechanism,
    on_upgrade: OnUpgrade,
    connection: Connection,
    websocket: bool,
    config: Arc<TunnelConfig>,
    live: Option<Arc<Shared>>,
}

impl Opening {
    /// Runs the tunnel as a task of its own. Only call this with a 101 that goes to the client: the
    /// client's half appears once hyper has written it.
    pub(crate) fn spawn(self, config: &Config) {
        let Handshake { mechanism, on_upgrade, .. } = self.handshake;
        let hook = config.on_tunnel.clone();
        let presence = Presence::new(&self.info, config.registry.as_ref(), self.pass);
        let mut live = presence.live().cloned();
        let counted = metrics::Tunnel::open(&mut live);
        let halves = Halves {
            mechanism,
            on_upgrade,
            connection: self.connection,
            websocket: is_websocket(self.info.protocol().as_bytes()),
            config: Arc::clone(&config.tunnel),
            live,
        };
        let span = trace::Span::of(&self.info);
        let observed =
            Observed { info: self.info, hook, span, counted, presence, _admission: self.admission };
        observed.open();
        // Each stage in a box of its own, so that the task keeps no room for one that is over.
        let hand_over = Box::pin(hand_over(halves, config.upgrade_timeout));
        tokio::spawn(async move {
            let summary = hand_over.await.await;
            observed.close(summary);
        });
    }
}

/// Waits for both connections, and joins them. What comes out without both is a tunnel that has
/// ended before it carried a byte.
async fn hand_over(halves: Halves, limit: Duration) -> AnyTunnel {
    let opened = Instant::now();
    let live = halves.live.clone();
    let end = match timeout(limit, unless_cut(halves.join(), live.as_deref())).await {
        Ok(Ok(Some(tunnel))) => return tunnel,
        Ok(Ok(None)) => TunnelEnd::HandOverFailed,
        Ok(Err(Cut)) => TunnelEnd::Drained { cut: true },
        Err(_) => TunnelEnd::HandOverTimeout,
    };
    Box::pin(ready(TunnelSummary::new([Count::default(); 2], opened.elapsed(), end)))
}

/// An order's time was over.
struct Cut;

/// Waits for `joined`, but not beyond the end of an order. The order is the tunnel's to obey, and so it is
/// put back for it.
async fn unless_cut<T>(joined: impl Future<Output = T>, live: Option<&Shared>) -> Result<T, Cut> {
    let Some(live) = live else { return Ok(joined.await) };
    let mut joined = pin!(joined);
    let mut order: Option<(ShutdownRequest, _)> = None;
    let joined = poll_fn(|cx| {
        if let Some(new) = live.poll_shutdown_request(cx) {
            let new = new.merged(order.take().map(|(known, _)| known));
            let end = Box::pin(sleep_until(new.deadline));
            order = Some((new, end));
        }
        match joined.as_mut().poll(cx) {
            Poll::Ready(joined) => Poll::Ready(Ok(joined)),
            Poll::Pending => match &mut order {
                Some((_, end)) => end.as_mut().poll(cx).map(|()| Err(Cut)),
                None => Poll::Pending,
            },
        }
    });
    let joined = joined.await;
    if let Some((order, _)) = order {
        live.request_shutdown(order);
    }
    joined
}

impl Halves {
    /// Takes both connections out of hyper.
    async fn join(self) -> Option<AnyTunnel> {
        let (upstream, from_upstream) = self.connection.into_transport().await?;
        let upgraded = self.on_upgrade.await.ok()?;
        let (client, from_client) = match self.mechanism {
            Mechanism::Upgrade => Transport::from_upgraded(upgraded),
            Mechanism::ExtendedConnect => Transport::from_stream(upgraded),
        };
        client.set_nodelay();
        let early = (from_client, from_upstream);
        let Self { websocket, config, live, .. } = self;
        Some(match (client, upstream) {
            (Transport::Tcp(client), Transport::Tcp(upstream)) => {
                tunnel(Tunnel::with_shared(client, upstream, config), websocket, early, live)
            }
            (client, upstream) => {
                tunnel(Tunnel::with_shared(client, upstream, config), websocket, early, live)
            }
        })
    }
}

fn tunnel<C, U>(
    tunnel: Tunnel<C, U>,
    websocket: bool,
    (from_client, from_upstream): (Bytes, Bytes),
    live: Option<Arc<Shared>>,
) -> AnyTunnel
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    U: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let tunnel = if websocket { tunnel.websocket() } else { tunnel };
    Box::pin(tunnel.early_bytes(from_client, from_upstream).watched(live))
}

impl Observed {
    fn open(&self) {
        self.span.within(|| {
            trace::opened();
            if let Some(hook) = &self.hook {
                hook.on_open(&self.info);
            }
        });
    }

    fn close(self, summary: TunnelSummary) {
        self.counted.end(&summary);
        self.span.within(|| {
            trace::ended(&summary);
            if let Some(hook) = &self.hook {
                hook.on_close(&self.info, &summary);
            }
        });
        // Who waits for the end may count on the hook.
        self.presence.end(summary.end());
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::time::sleep;

    use super::*;
    use crate::{tunnel::CloseCode, tunnel::CloseFrame};

    fn order(seconds: u64) -> ShutdownRequest {
        let now = Instant::now();
        ShutdownRequest {
            at: now,
            deadline: now + Duration::from_secs(seconds),
            close: CloseFrame::new(CloseCode::GOING_AWAY),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_that_comes_during_the_hand_over_is_left_for_the_tunnel() {
        let (live, start) = (Arc::new(Shared::new()), Instant::now());
        let waiting = tokio::spawn({
            let live = Arc::clone(&live);
            async move { unless_cut(sleep(Duration::from_secs(5)), Some(&live)).await.is_ok() }
        });
        for by in [60, 20, 40] {
            live.request_shutdown(order(by));
            tokio::task::yield_now().await;
        }
        assert!(waiting.await.unwrap());
        let left = live.poll_shutdown_request(&mut Context::from_waker(Waker::noop())).unwrap();
        assert_eq!(left.deadline, start + Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn the_hand_over_is_waited_for_no_longer_than_an_order_says() {
        let (live, start) = (Arc::new(Shared::new()), Instant::now());
        let waiting = tokio::spawn({
            let live = Arc::clone(&live);
            async move { unless_cut(sleep(Duration::from_secs(5)), Some(&live)).await.is_err() }
        });
        tokio::task::yield_now().await;
        live.request_shutdown(order(2));
        assert!(waiting.await.unwrap(), "cut");
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    }
}
