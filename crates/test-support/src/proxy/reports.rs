//! Reports of a layer's tunnels.

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tower_upgrade_proxy::{OnTunnel, TunnelInfo, TunnelSummary, UpgradeProxyLayer};

use crate::wire::bounded;

/// Calls of a layer's hook, in order.
pub struct Reports(UnboundedReceiver<Report>);

/// Call of the hook, with a summary when the tunnel has ended.
pub type Report = (TunnelInfo, Option<TunnelSummary>);

impl Reports {
    /// Adds a hook to `layer`, and returns its reports.
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

    /// Returns true if no report is waiting.
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
