//! Upgrade: from a verified response to a running tunnel.
//!
//! A tunnel is one task, spawned when the response is verified, because the server releases the client's
//! connection only after it has written the 101. The task holds the permit, the registration, the hook and the
//! metrics until the tunnel ends ([`TunnelGuard`]).

use std::{
    future::{poll_fn, ready},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    config::Hooks,
    connect::ResponseConnection,
    handshake::{Handshake, Mechanism, is_websocket},
    io::transport::Transport,
    limits::Permit,
    metrics::TunnelMetrics,
    on_tunnel::{OnTunnel, TunnelInfo},
    pool::Lease,
    registry::{HandshakeGuard, Registration, Tunnels},
    trace,
    tunnel::{
        Sides, Tunnel, TunnelConfig, TunnelEnd, TunnelSummary,
        shared::{Shared, ShutdownRequest},
    },
};

/// A tunnel that both sides have accepted, and whose two connections still belong to HTTP.
pub(crate) struct PendingTunnel {
    pub(crate) handshake: Handshake,
    pub(crate) connection: ResponseConnection,
    pub(crate) info: TunnelInfo,
    pub(crate) permit: Permit,
    /// `None` without a pool.
    pub(crate) lease: Option<Lease>,
    pub(crate) handshake_guard: Option<HandshakeGuard>,
}

/// Resources of a tunnel that are held until its end, and reporters of its start and end.
struct TunnelGuard {
    info: TunnelInfo,
    hook: Option<Arc<dyn OnTunnel>>,
    span: trace::Span,
    metrics: TunnelMetrics,
    registration: Option<Box<Registration>>,
    _permit: Permit,
}

/// A tunnel between two sockets, which can splice, or between any other two connections.
type AnyTunnel = Pin<Box<dyn Future<Output = TunnelSummary> + Send>>;

impl PendingTunnel {
    /// Runs the tunnel as a task of its own. Call it only with a 101 that is sent to the client: hyper
    /// releases the client's connection once the 101 is written.
    pub(crate) fn spawn(
        self,
        hooks: &Hooks,
        registry: Option<&Tunnels>,
        config: &Arc<TunnelConfig>,
        timeout: Duration,
    ) {
        let Self { handshake, connection, info, mut permit, lease, handshake_guard } = self;
        let hook = hooks.on_tunnel.clone();
        let endpoint = lease.as_ref().map(Lease::tunnels);
        let registration = Registration::new(&info, [registry, endpoint], handshake_guard);
        if let Some(lease) = lease {
            lease.opened(info.id());
            permit.hold(lease);
        }
        let mut shared = registration.as_ref().map(|registration| Arc::clone(registration.shared()));
        let metrics = TunnelMetrics::open(&mut shared);
        let span = trace::Span::of(&info);
        let guard = TunnelGuard { info, hook, span, metrics, registration, _permit: permit };
        guard.open();
        // Each stage has a box of its own, so that the task holds no memory of a finished stage.
        let upgrade = Box::pin(upgrade(handshake, connection, Arc::clone(config), shared, timeout));
        tokio::spawn(async move {
            let summary = upgrade.await.await;
            guard.close(&summary);
        });
    }
}

/// Waits for both connections and joins them. If one of them is missing, returns a tunnel that has
/// ended before it carried a byte.
async fn upgrade(
    handshake: Handshake,
    connection: ResponseConnection,
    config: Arc<TunnelConfig>,
    shared: Option<Arc<Shared>>,
    upgrade_timeout: Duration,
) -> AnyTunnel {
    let opened = Instant::now();
    let joined = join(handshake, connection, config, shared.clone());
    let end = match timeout(upgrade_timeout, before_shutdown(joined, shared.as_deref())).await {
        Ok(Ok(Some(tunnel))) => return tunnel,
        Ok(Ok(None)) => TunnelEnd::UpgradeFailed,
        Ok(Err(DeadlinePassed)) => TunnelEnd::DrainTimeout,
        Err(_) => TunnelEnd::UpgradeTimeout,
    };
    Box::pin(ready(TunnelSummary::new(Sides::default(), opened.elapsed(), end)))
}

/// The deadline of a shutdown request has passed.
struct DeadlinePassed;

/// Waits for `joined`, but not beyond the deadline of a shutdown request. The request is put back for the tunnel.
async fn before_shutdown<T>(
    joined: impl Future<Output = T>,
    shared: Option<&Shared>,
) -> Result<T, DeadlinePassed> {
    let Some(shared) = shared else { return Ok(joined.await) };
    let mut joined = pin!(joined);
    let mut request: Option<(ShutdownRequest, _)> = None;
    let joined = poll_fn(|cx| {
        if let Some(new) = shared.poll_shutdown_request(cx) {
            let new = new.merged(request.take().map(|(known, _)| known));
            let deadline = Box::pin(sleep_until(new.deadline));
            request = Some((new, deadline));
        }
        match joined.as_mut().poll(cx) {
            Poll::Ready(joined) => Poll::Ready(Ok(joined)),
            Poll::Pending => match &mut request {
                Some((_, deadline)) => deadline.as_mut().poll(cx).map(|()| Err(DeadlinePassed)),
                None => Poll::Pending,
            },
        }
    });
    let joined = joined.await;
    if let Some((request, _)) = request {
        shared.request_shutdown(request);
    }
    joined
}

/// Takes both connections out of HTTP, and joins them. `None` when one of them has failed.
async fn join(
    handshake: Handshake,
    connection: ResponseConnection,
    config: Arc<TunnelConfig>,
    shared: Option<Arc<Shared>>,
) -> Option<AnyTunnel> {
    let Handshake { mechanism, protocol, on_upgrade, .. } = handshake;
    let websocket = is_websocket(protocol.as_bytes());
    let (upstream, from_upstream) = connection.into_transport().await?;
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            trace::not_upgraded(&error);
            return None;
        }
    };
    let (client, from_client) = match mechanism {
        Mechanism::Upgrade => Transport::from_upgraded(upgraded),
        Mechanism::ExtendedConnect => Transport::from_stream(upgraded),
    };
    client.set_nodelay();
    let early = (from_client, from_upstream);
    Some(match (client, upstream) {
        (Transport::Tcp(client), Transport::Tcp(upstream)) => {
            tunnel(Tunnel::with_config(client, upstream, config), websocket, early, shared)
        }
        (client, upstream) => tunnel(Tunnel::with_config(client, upstream, config), websocket, early, shared),
    })
}

fn tunnel<C, U>(
    tunnel: Tunnel<C, U>,
    websocket: bool,
    (from_client, from_upstream): (Bytes, Bytes),
    shared: Option<Arc<Shared>>,
) -> AnyTunnel
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    U: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let tunnel = if websocket { tunnel.websocket() } else { tunnel };
    Box::pin(tunnel.early_bytes(from_client, from_upstream).sharing(shared))
}

impl TunnelGuard {
    fn open(&self) {
        self.span.within(|| {
            trace::opened();
            if let Some(hook) = &self.hook {
                hook.on_open(&self.info);
            }
        });
    }

    fn close(self, summary: &TunnelSummary) {
        self.metrics.end(summary);
        self.span.within(|| {
            trace::ended(summary);
            if let Some(hook) = &self.hook {
                hook.on_close(&self.info, summary);
            }
        });
        // After the hook: a drain that waits for this tunnel ends when the hook has run.
        if let Some(registration) = self.registration {
            registration.end(summary.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::time::sleep;

    use super::*;

    fn shutdown_in(seconds: u64) -> ShutdownRequest {
        let now = Instant::now();
        ShutdownRequest { at: now, deadline: now + Duration::from_secs(seconds), close: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_request_during_the_upgrade_is_kept_for_the_tunnel() {
        let (shared, start) = (Arc::new(Shared::new()), Instant::now());
        let waiting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { before_shutdown(sleep(Duration::from_secs(5)), Some(&shared)).await.is_ok() }
        });
        for seconds in [60, 20, 40] {
            shared.request_shutdown(shutdown_in(seconds));
            tokio::task::yield_now().await;
        }
        assert!(waiting.await.unwrap());
        let kept = shared.poll_shutdown_request(&mut Context::from_waker(Waker::noop())).unwrap();
        assert_eq!(kept.deadline, start + Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn the_upgrade_ends_at_the_deadline_of_a_shutdown_request() {
        let (shared, start) = (Arc::new(Shared::new()), Instant::now());
        let waiting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { before_shutdown(sleep(Duration::from_secs(5)), Some(&shared)).await.is_err() }
        });
        tokio::task::yield_now().await;
        shared.request_shutdown(shutdown_in(2));
        assert!(waiting.await.unwrap(), "the deadline has passed");
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    }
}
