//! The example `graceful` as users run it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use test_support::{
    EchoUpstream, SWITCHING, ScriptedUpstream, bounded, handshake,
    process::ServerProgram,
    websocket::{
        Client,
        frame::{CLOSE, Frame, close_payload, frame},
    },
};
use tokio::{net::TcpStream, process::Command};
use tower_upgrade_proxy::Side;

/// Starts the example for this upstream.
async fn start(upstream: &str) -> ServerProgram {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graceful"));
    command.args([upstream, "127.0.0.1:0"]);
    ServerProgram::spawn(command).await
}

#[tokio::test]
async fn tunnels_in_both_versions_are_closed_and_the_program_exits() {
    let upstream = EchoUpstream::start().await;
    let ServerProgram { mut program, address } = start(&upstream.upstream().to_string()).await;
    let mut clients = [Client::http1(address, "/ws").await, Client::http2(address, "/ws").await];
    for client in &mut clients {
        client.echo("before").await;
    }
    program.signal("TERM").await;
    for client in &mut clients {
        assert_eq!(client.closed().await.0, 1012);
    }
    program.line_after("draining 2 tunnels").await;
    program.line_after("drained: 2 closed, 0 finished, 0 aborted, 0 remaining").await;
    assert_eq!(program.exit_code().await, Some(0));
}

#[tokio::test]
async fn upgrades_are_refused_and_requests_in_progress_complete() {
    let upstream = ScriptedUpstream::start().await;
    let server = start(&upstream.uri()).await;
    // An incomplete request keeps its connection open, and so does a handshake.
    let (mut slow, mut upgrading) = (server.wire().await, server.wire().await);
    let ServerProgram { mut program, address } = server;
    slow.send("GET /ws HTTP/1.1\r\nHost: a\r\n").await;
    upgrading.send(handshake("/ws")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    program.signal("TERM").await;
    program.line_after("draining 0 tunnels").await;

    let rest = handshake("/ws").split_once("Host: client.example\r\n").unwrap().1.to_owned();
    assert_eq!(slow.request(rest).await.status(), 503);
    // Another task closes the listener.
    bounded("the listener to be closed", async { while TcpStream::connect(address).await.is_ok() {} }).await;

    server.send(SWITCHING).await;
    let head = upgrading.head().await;
    assert_eq!(head.status(), 101, "{}", head.text());
    upgrading.expect(Frame::close(1012, "").encode(Side::Upstream)).await;
    upgrading.send(frame(Side::Client, CLOSE, &close_payload(1012, ""))).await;
    server.exactly(Frame::close(1001, "going away").encode(Side::Client).len()).await;
    server.send(frame(Side::Upstream, CLOSE, &close_payload(1001, ""))).await;
    server.finish().await;
    program.line_after("drained: 1 closed").await;
    assert_eq!(program.exit_code().await, Some(0));
}
