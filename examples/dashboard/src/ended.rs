//! The tunnels that ended last: who ended them, why, and what each side was told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tower_upgrade_proxy::{OnTunnel, Side, TunnelInfo, TunnelSummary};

/// Number of tunnels kept.
const KEPT: usize = 20;

/// The tunnels that ended last, the latest first.
#[derive(Clone, Default)]
pub(crate) struct Ended(Arc<Mutex<VecDeque<Value>>>);

impl Ended {
    pub(crate) fn list(&self) -> Vec<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl OnTunnel for Ended {
    fn on_close(&self, tunnel: &TunnelInfo, summary: &TunnelSummary) {
        let told = |side| summary.told(side).map(|told| told.to_string());
        let ended = json!({
            "id": tunnel.id(),
            "label": tunnel.label(),
            "path": tunnel.path(),
            "by": summary.end().initiator().as_str(),
            "reason": summary.end().to_string(),
            "told": [told(Side::Client), told(Side::Upstream)],
            "duration": summary.duration().as_secs_f64(),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push_front(ended);
        all.truncate(KEPT);
    }
}
