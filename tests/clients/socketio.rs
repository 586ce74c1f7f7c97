//! Node's Socket.IO through `Forward` in an axum application.

use test_support::{
    Inner, ReservedPort, TestProxy,
    process::socketio::{Scenario, two_sessions},
};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::proxy;

pub(crate) async fn in_process(scenario: Scenario) {
    let upstream = ReservedPort::new();
    let layer = UpgradeProxyLayer::new(proxy::upstream(upstream.address));
    let mut proxy = TestProxy::start(Inner::Forward, layer).await;
    two_sessions(scenario, &upstream, proxy.address).await;
    for _ in 0..2 * scenario.tunnels {
        proxy.ended().await;
    }
    assert!(proxy.reports.is_empty(), "more than {} tunnels", 2 * scenario.tunnels);
}
