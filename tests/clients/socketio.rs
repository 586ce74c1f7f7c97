//! Node's Socket.IO on both sides: polling and WebSocket on one path.

use std::net::SocketAddr;

use crate::{
    program::{self, Program},
    script::{Language, Script},
    stage::Stage,
    support::Reserved,
};

/// Which transports the client may use.
pub(crate) const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "upgrade", tunnels: 1 },
    Scenario { name: "websocket", tunnels: 1 },
    Scenario { name: "polling", tunnels: 0 },
];

#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// In each session.
    tunnels: usize,
}

/// Through `forward()` in an axum application.
pub(crate) async fn in_process(scenario: Scenario) {
    let upstream = Reserved::new();
    let mut stage = Stage::location(upstream.address).await;
    two_sessions(scenario, &upstream, stage.address()).await;
    stage.ends(2 * scenario.tunnels).await;
}

/// Through the gateway example.
pub(crate) async fn gateway(scenario: Scenario) {
    let upstream = Reserved::new();
    let mut command = program::command("gateway");
    let route = format!("/socket.io/={}", upstream.uri());
    command.args(["--listen", "127.0.0.1:0", "--route", &route]);
    let mut gateway = Program::spawn(command);
    let address = gateway.line_after("listening on ").await.parse().unwrap();
    two_sessions(scenario, &upstream, address).await;
}

/// A session; the server dies and comes back; the client finds it again.
async fn two_sessions(scenario: Scenario, upstream: &Reserved, proxy: SocketAddr) {
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
