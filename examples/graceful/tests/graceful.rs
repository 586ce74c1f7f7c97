//! The example `graceful` as its users have it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

use std::net::SocketAddr;

use test_support::{
    SWITCHING, Scripted, Wire, bounded,
    echo::Echo,
    handshake,
    program::Program,
    websocket::{Client, going_away},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, process::Command};

/// Starts it with these further arguments.
async fn start(upstream: &str) -> (Program, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_graceful"));
    command.args([upstream, "127.0.0.1:0"]);
    let mut program = Program::spawn(command);
    let address = program.line_after("listening on ").await.parse().unwrap();
    (program, address)
}

async fn terminate(program: &Program) {
    let kill = format!("kill -TERM {}", program.process.id().unwrap());
    assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
}

async fn succeeds(mut program: Program) {
    assert!(bounded("exit", program.process.wait()).await.unwrap().success());
}

#[tokio::test]
async fn it_tells_tunnels_in_both_versions_and_ends() {
    let upstream = Echo::start().await;
    let (mut program, address) = start(&upstream.upstream().to_string()).await;
    let mut clients = [Client::http1(address, "/ws").await, Client::http2(address, "/ws").await];
    for client in &mut clients {
        client.echo("before").await;
    }
    terminate(&program).await;
    for client in &mut clients {
        assert_eq!(client.told().await, going_away());
    }
    program.line_after("draining 2 tunnels").await;
    program.line_after("drained: 2 closed, 0 finished, 0 aborted, 0 remaining").await;
    succeeds(program).await;
}

#[tokio::test]
async fn it_refuses_upgrades_and_answers_requests_that_were_under_way() {
    let upstream = Scripted::start().await;
    let (mut program, address) = start(&upstream.uri()).await;
    // A request that is not complete keeps its connection open, and so does a handshake.
    let (mut slow, mut upgrading) = (Wire::connect(address).await, Wire::connect(address).await);
    slow.send("GET /ws HTTP/1.1\r\nHost: a\r\n").await;
    upgrading.send(handshake("/ws")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    terminate(&program).await;
    program.line_after("draining 0 tunnels").await;

    let rest = handshake("/ws").split_once("Host: client.example\r\n").unwrap().1.to_owned();
    assert_eq!(slow.ask(rest).await.status(), 503);
    // The listener is closed by another task.
    bounded("nothing to be accepted", async { while TcpStream::connect(address).await.is_ok() {} }).await;

    server.send(SWITCHING).await;
    let head = upgrading.head().await;
    assert_eq!(head.status(), 101, "{}", head.text());
    upgrading.expect(b"\x88\x0c\x03\xe9going away").await;
    upgrading.send(b"\x88\x82\0\0\0\0\x03\xe9").await;
    server.exactly(18).await;
    server.send(b"\x88\x02\x03\xe9").await;
    server.stream.shutdown().await.unwrap();
    program.line_after("drained: 1 closed").await;
    succeeds(program).await;
}
