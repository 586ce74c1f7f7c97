//! Node's Socket.IO through `forward()` in an axum application.

use test_support::{
    Reserved,
    socketio::{Scenario, two_sessions},
};

use crate::stage::Stage;

pub(crate) async fn in_process(scenario: Scenario) {
    let upstream = Reserved::new();
    let mut stage = Stage::location(upstream.address).await;
    two_sessions(scenario, &upstream, stage.address()).await;
    stage.ends(2 * scenario.tunnels).await;
}
