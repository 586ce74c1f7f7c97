//! From a verified agreement to a running tunnel.

use std::{future::ready, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout},
};

use crate::{
    OnTunnel, Tunnel, TunnelConfig, TunnelEnd, TunnelInfo, TunnelSummary,
    config::Config,
    connect::{Connection, transport::Transport},
    handshake::{Asked, Handshake, is_websocket},
    limits::Admission,
    trace,
    tunnel::live::Count,
};

/// Both halves of a tunnel, before either has let go of HTTP.
pub(crate) struct Opening {
    pub(crate) handshake: Handshake,
    pub(crate) connection: Connection,
    pub(crate) info: TunnelInfo,
    pub(crate) admission: Admission,
}

/// What stays with a tunnel to its end.
struct Observed {
    info: TunnelInfo,
    hook: Option<Arc<dyn OnTunnel>>,
    _admission: Admission,
}

/// The client's half, to be.
struct Client {
    asked: Asked,
    on_upgrade: OnUpgrade,
    websocket: bool,
}

/// A tunnel between two sockets, which can splice, or between anything.
type AnyTunnel = Pin<Box<dyn Future<Output = TunnelSummary> + Send>>;

impl Opening {
    /// Runs the tunnel as a task of its own. Only call this with a 101 that goes to the client: the
    /// client's half appears once hyper has written it.
    pub(crate) fn spawn(self, config: &Config) {
        let Handshake { asked, on_upgrade, .. } = self.handshake;
        let hook = config.on_tunnel.clone();
        let observed = Observed { info: self.info, hook, _admission: self.admission };
        observed.open();
        // Each stage in a box of its own, so that the task keeps no room for one that is over.
        let (limit, tunnel) = (config.hand_over_timeout, Arc::clone(&config.tunnel));
        let websocket = is_websocket(observed.info.protocol().as_bytes());
        let client = Client { asked, on_upgrade, websocket };
        let hand_over = Box::pin(hand_over(client, self.connection, limit, tunnel));
        tokio::spawn(async move {
            let summary = hand_over.await.await;
            observed.close(summary);
        });
    }
}

/// Waits for both connections, and joins them. What comes out without both is a tunnel that has
/// ended before it carried a byte.
async fn hand_over(
    client: Client,
    connection: Connection,
    limit: Duration,
    config: Arc<TunnelConfig>,
) -> AnyTunnel {
    let opened = Instant::now();
    let end = match timeout(limit, join(client, connection, config)).await {
        Ok(Some(tunnel)) => return tunnel,
        Ok(None) => TunnelEnd::HandOverFailed,
        Err(_) => TunnelEnd::HandOverTimeout,
    };
    Box::pin(ready(TunnelSummary::new([Count::default(); 2], opened.elapsed(), end)))
}

/// Takes both connections out of hyper.
async fn join(client: Client, connection: Connection, config: Arc<TunnelConfig>) -> Option<AnyTunnel> {
    let (upstream, from_upstream) = connection.into_transport().await?;
    let Client { asked, on_upgrade, websocket } = client;
    let upgraded = on_upgrade.await.ok()?;
    let (client, from_client) = match asked {
        Asked::Upgrade => Transport::from_upgraded(upgraded),
        Asked::ExtendedConnect => Transport::from_stream(upgraded),
    };
    client.set_nodelay();
    let early = (from_client, from_upstream);
    Some(match (client, upstream) {
        (Transport::Tcp(client), Transport::Tcp(upstream)) => {
            tunnel(client, upstream, websocket, early, config)
        }
        (client, upstream) => tunnel(client, upstream, websocket, early, config),
    })
}

fn tunnel<C, U>(
    client: C,
    upstream: U,
    websocket: bool,
    (from_client, from_upstream): (Bytes, Bytes),
    config: Arc<TunnelConfig>,
) -> AnyTunnel
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    U: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let tunnel = Tunnel::with_shared(client, upstream, config);
    let tunnel = if websocket { tunnel.websocket() } else { tunnel };
    Box::pin(tunnel.early_bytes(from_client, from_upstream))
}

impl Observed {
    fn open(&self) {
        trace::opened(&self.info);
        if let Some(hook) = &self.hook {
            hook.on_open(&self.info);
        }
    }

    fn close(self, summary: TunnelSummary) {
        let summary = summary.with_upstream(self.info.upstream().clone());
        trace::ended(&self.info, &summary);
        if let Some(hook) = &self.hook {
            hook.on_close(&self.info, &summary);
        }
    }
}
