//! The log on stderr, read or not.
#![cfg(unix)]

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use test_support::{EchoUpstream, ReservedPort, Wire, bounded, process::ServerProgram, websocket::Client};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr},
    task::JoinSet,
};

use crate::{Gateway, command, get};

/// Refused requests: at debug their lines exceed the pipe and the queue together.
const REFUSED: usize = 4000;

/// A gateway of two workers whose stderr nobody reads.
struct Unread {
    process: Child,
    address: std::net::SocketAddr,
    stderr: ChildStderr,
}

impl Unread {
    async fn start(routes: &[String]) -> Self {
        let mut command = command();
        command.args(["--listen", "127.0.0.1:0", "--workers", "2", "--drain", "5s"]);
        for route in routes {
            command.args(["--route", route]);
        }
        command.env("RUST_LOG", "debug").env("NO_COLOR", "1");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = bounded("the address", lines.next_line()).await.unwrap().unwrap();
        let address = line.strip_prefix("listening on ").unwrap().parse().unwrap();
        let stderr = process.stderr.take().unwrap();
        Self { process, address, stderr }
    }

    async fn refuse(&self, number: usize) {
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            let (address, number) = (self.address, number / 8);
            clients.spawn(async move {
                let mut wire = Wire::connect(address).await;
                for _ in 0..number {
                    assert_eq!(get(&mut wire, "/refused").await.0.status(), 502);
                }
            });
        }
        bounded("all responses", clients.join_all()).await;
    }
}

#[tokio::test]
async fn g13_an_unread_log_blocks_neither_tunnels_nor_requests_nor_the_exit() {
    let (mut upstream, port) = (EchoUpstream::start().await, ReservedPort::new());
    let routes = [format!("/={}", upstream.upstream()), format!("/refused={}", port.uri())];
    let mut gateway = Unread::start(&routes).await;
    let mut tunnels = Vec::new();
    for _ in 0..8 {
        let stream = bounded("connect", tokio::net::TcpStream::connect(gateway.address)).await.unwrap();
        tunnels.push(Client::open(stream, "/").await.unwrap());
    }
    gateway.refuse(REFUSED).await;
    for tunnel in &mut tunnels {
        let start = Instant::now();
        assert_eq!(tunnel.exchange("echo").await, "echo");
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    }
    let id = gateway.process.id().unwrap();
    let kill = tokio::process::Command::new("kill").arg(id.to_string()).status();
    assert!(kill.await.unwrap().success());
    for tunnel in &mut tunnels {
        tunnel.closed().await;
    }
    drop(tunnels);
    assert_eq!(bounded("exit", gateway.process.wait()).await.unwrap().code(), Some(0));
    let _ = upstream.closed().await;
}

#[tokio::test]
async fn lost_lines_are_counted_when_the_log_is_read_again() {
    let port = ReservedPort::new();
    let mut gateway = Unread::start(&[format!("/={}", port.uri())]).await;
    gateway.refuse(REFUSED).await;
    let mut lines = BufReader::new(&mut gateway.stderr).lines();
    let (mut read, mut lost) = (0, 0);
    while lost == 0 {
        let line = bounded("the number of lost lines", lines.next_line()).await.unwrap().unwrap();
        read += 1;
        if let Some((start, number)) = line.split_once("log lines were lost lost=") {
            assert!(start.contains("WARN"), "{line}");
            lost = number.parse().unwrap();
        }
    }
    assert!(lost > 0 && read > 100, "{lost} {read}");
}

#[tokio::test]
async fn repeated_warnings_are_one_line_a_second_and_a_count() {
    let port = ReservedPort::new();
    let mut command = command();
    command.args([
        "--route",
        &format!("/refused={}", port.uri()),
        "--workers",
        "1",
        "--listen",
        "127.0.0.1:0",
    ]);
    command.env_remove("RUST_LOG");
    let mut gateway = Gateway(ServerProgram::spawn(command).await);
    let mut wire = gateway.wire().await;
    for _ in 0..240 {
        assert_eq!(get(&mut wire, "/refused").await.0.status(), 502);
    }
    gateway.program.signal("TERM").await;
    assert_eq!(gateway.program.exit_code().await, Some(0));
    let log = gateway.program.rest_of_log().await;
    let refused: Vec<_> = log
        .lines()
        .filter(|line| line.contains("request refused\"") || line.contains(": request refused"))
        .collect();
    let mut counted = 0;
    for line in &refused {
        assert!(line.contains("WARN") && line.contains("reason=\"connect\""), "{line}");
        counted += match line.split_once("suppressed=") {
            Some((_, number)) => number.split(' ').next().unwrap().parse().unwrap(),
            None => 1,
        };
    }
    assert_eq!(counted, 240, "{log}");
    assert!(refused.len() < 20, "{log}");
}

#[tokio::test]
async fn a_request_without_a_route_is_an_event() {
    let port = ReservedPort::new();
    let mut gateway = Gateway::start(&["--route", &format!("/ws/={}", port.uri())]).await;
    assert_eq!(get(&mut gateway.wire().await, "/other?token=secret").await.0.status(), 404);
    let line = gateway.program.wait_for_log("request refused").await;
    let fields =
        "method=\"GET\" path=\"/other\" version=HTTP/1.1 client=127.0.0.1 status=404 reason=\"no_route\"";
    assert!(line.contains("DEBUG") && line.contains(fields), "{line}");
}
