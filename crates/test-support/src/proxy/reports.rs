//! Reports of a layer's tunnels.

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tower_upgrade_proxy::{OnTunnel, TunnelInfo, TunnelSummary, UpgradeProxyLayer};

use crate::wire::bounded;

/// What a layer's hook is called with, in order.
pub struct Reports(UnboundedReceiver<Report>);

/// The summary is that of a tunnel that has ended.
pub type Report = (TunnelInfo, Option<TunnelSummary>);

impl Reports {
    /// `layer` with a hook, and what the hook reports.
    pub fn of(layer: UpgradeProxyLayer) -> (UpgradeProxyLayer, Self) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (layer.on_tunnel(Hook(sender)), Self(receiver))
    }

    /// The next report.
    pub async fn next(&mut self) -> Report {
        bounded("the report of a tunnel", self.0.recv()).await.unwrap()
    }

    /// The summary of the next tunnel to end.
    pub async fn ended(&mut self) -> TunnelSummary {
        loop {
            if let (_, Some(summary)) = self.next().await {
                return summary;
            }
        }
    }

    /// Whether there is no report to be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

struct Hook(UnboundedSender<Report>);

impl OnTunnel for Hook {
    fn on_open(&self, tunnel: &TunnelInfo) {
        let _ = self.0.send((tunnel.clone(), None));
    }

    fn on_close(&self, tunnel: &TunnelInfo, summary: &TunnelSummary) {
        let _ = self.0.send((tunnel.clone(), Some(summary.clone())));
    }
}
