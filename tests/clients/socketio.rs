//! Node's Socket.IO on both sides: polling and WebSocket on one path.

use std::net::SocketAddr;

use crate::{
    program::{self, Program},
    script::{Language, Script},
    stage::Stage,
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
    let (server, upstream) = start("0").await;
    let mut stage = Stage::location(upstream).await;
    two_sessions(scenario, server, upstream, stage.address()).await;
    stage.ends(2 * scenario.tunnels).await;
}

/// Through the gateway example.
pub(crate) async fn gateway(scenario: Scenario) {
    let (server, upstream) = start("0").await;
    let mut command = program::command("gateway");
    let route = format!("/socket.io/=http://{upstream}");
    command.args(["--listen", "127.0.0.1:0", "--route", &route]);
    let mut gateway = Program::spawn(command);
    let address = gateway.line_after("listening on ").await.parse().unwrap();
    two_sessions(scenario, server, upstream, address).await;
}

/// A session; the server dies and comes back; the client finds it again.
async fn two_sessions(scenario: Scenario, server: Script, upstream: SocketAddr, proxy: SocketAddr) {
    let url = format!("http://{proxy}");
    let mut client = Script::start(Language::Node, "socketio_client", &[scenario.name, &url]);
    assert_eq!(client.line().await, "200 messages each way");
    server.kill().await;
    let (_server, again) = start(&upstream.port().to_string()).await;
    assert_eq!(again, upstream);
    assert_eq!(client.line().await, "200 messages each way");
    client.succeeds().await;
}

async fn start(port: &str) -> (Script, SocketAddr) {
    Script::server(Language::Node, "socketio_server", &[port]).await
}
