//! Node's Socket.IO on both sides: polling and WebSocket on one path.

use std::net::SocketAddr;

use super::script::{Language, Script};
use crate::reserved::ReservedPort;

/// Transports that the client may use.
pub const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "upgrade", tunnels: 1 },
    Scenario { name: "websocket", tunnels: 1 },
    Scenario { name: "polling", tunnels: 0 },
];

#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// Number of tunnels in each session.
    pub tunnels: usize,
}

/// Runs a session, kills the server and starts it again, and runs a session after the client has reconnected.
pub async fn two_sessions(scenario: Scenario, upstream: &ReservedPort, proxy: SocketAddr) {
    let server = start(upstream).await;
    let url = format!("http://{proxy}");
    let mut client = Script::start(Language::Node, "socketio_client", &[scenario.name, &url]);
    assert_eq!(client.line().await, "200 messages each way");
    server.kill().await;
    let _server = start(upstream).await;
    assert_eq!(client.line().await, "200 messages each way");
    client.succeeds().await;
}

async fn start(port: &ReservedPort) -> Script {
    let number = port.address.port().to_string();
    let (server, address) = Script::server(Language::Node, "socketio_server", &[&number]).await;
    assert_eq!(address, port.address);
    server
}
