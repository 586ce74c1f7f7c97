//! From a verified 101 to a running tunnel.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use tokio::time::{Instant, timeout};

use crate::{
    OnTunnel, Tunnel, TunnelConfig, TunnelEnd, TunnelInfo, TunnelSummary, Upstream,
    config::{Admission, Config},
    connect::{h1::Connection, transport::Transport},
    handshake::Handshake,
    trace,
};

/// Both halves of a tunnel, before either has let go of HTTP.
pub(crate) struct Opening {
    pub(crate) handshake: Handshake,
    pub(crate) connection: Connection,
    pub(crate) upstream: Upstream,
    pub(crate) admission: Admission,
}

/// What stays with a tunnel to its end.
struct Observed {
    info: TunnelInfo,
    hook: Option<Arc<dyn OnTunnel>>,
    opened: Instant,
    _admission: Admission,
}

type Halves = ((Transport, Bytes), (Transport, Bytes));

impl Opening {
    /// Runs the tunnel as a task of its own. Only call this with a 101 that goes to the client: the
    /// client's half appears once hyper has written it.
    pub(crate) fn spawn(self, config: &Config) {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let Handshake { protocol, on_upgrade, .. } = self.handshake;
        let info = TunnelInfo::new(IDS.fetch_add(1, Ordering::Relaxed), self.upstream, protocol);
        let hook = config.on_tunnel.clone();
        let observed = Observed { info, hook, opened: Instant::now(), _admission: self.admission };
        observed.open();
        let connection = self.connection;
        tokio::spawn(run(on_upgrade, connection, config.hand_over_timeout, config.tunnel.clone(), observed));
    }
}

async fn run(
    on_upgrade: OnUpgrade,
    connection: Connection,
    limit: Duration,
    config: TunnelConfig,
    observed: Observed,
) {
    let summary = match timeout(limit, hand_over(on_upgrade, connection)).await {
        Ok(Some(((client, from_client), (upstream, from_upstream)))) => {
            Tunnel::new(client, upstream, config).early_bytes(from_client, from_upstream).await
        }
        Ok(None) => observed.stillborn(TunnelEnd::HandOverFailed),
        Err(_) => observed.stillborn(TunnelEnd::HandOverTimeout),
    };
    observed.close(summary);
}

/// Takes both connections out of hyper.
async fn hand_over(on_upgrade: OnUpgrade, connection: Connection) -> Option<Halves> {
    let upstream = connection.into_transport().await?;
    let client = Transport::from_upgraded(on_upgrade.await.ok()?);
    client.0.set_nodelay();
    Some((client, upstream))
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

    /// The summary of a tunnel that never carried a byte.
    fn stillborn(&self, end: TunnelEnd) -> TunnelSummary {
        TunnelSummary::new(0, 0, Instant::now() - self.opened, end)
    }
}
