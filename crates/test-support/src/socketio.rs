//! Node's Socket.IO on both sides: polling and WebSocket on one path.

use std::net::SocketAddr;

use crate::{
    Reserved,
    script::{Language, Script},
};

/// Which transports the client may use.
pub const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "upgrade", tunnels: 1 },
    Scenario { name: "websocket", tunnels: 1 },
    Scenario { name: "polling", tunnels: 0 },
];

#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// In each session.
    pub tunnels: usize,
}

/// A session; the server dies and comes back; the client finds it again.
pub async fn two_sessions(scenario: Scenario, upstream: &Reserved, proxy: SocketAddr) {
    let server = start(upstream).await;
    let url = format!("http://{proxy}");
    let mut client = Script::start(Language::Node, "socketio_client", &[scenario.name, &url]);
    assert_eq!(client.line().await, "200 messages each way");
    server.kill().await;
    let _server = start(upstream).await;
    assert_eq!(client.line().await, "200 messages each way");
    client.succeeds().await;
}

async fn start(place: &Reserved) -> Script {
    let port = place.address.port().to_string();
    let (server, address) = Script::server(Language::Node, "socketio_server", &[&port]).await;
    assert_eq!(address, place.address);
    server
}
