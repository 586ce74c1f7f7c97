//! `--status`: the gauges.

use std::net::SocketAddr;

use test_support::{ScriptedUpstream, Wire, bounded, http2::Client, websocket};

use crate::{Gateway, get, upstream};

/// The values of these gauges, after a check of their types.
async fn gauges<const N: usize>(status: SocketAddr, names: [&str; N]) -> [usize; N] {
    let mut wire = Wire::connect(status).await;
    let head = wire.request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(head.status(), 200);
    let text = String::from_utf8(wire.body(&head).await).unwrap();
    names.map(|name| {
        assert!(text.contains(&format!("# TYPE {name} gauge\n")), "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
        line.parse().unwrap()
    })
}

const COUNTS: [&str; 2] = ["gateway_tunnels", "gateway_tasks"];

#[tokio::test]
async fn the_gauges_count_tunnels_and_tasks_of_all_workers() {
    let route = format!("/={}", upstream::start("app").await);
    let mut command = crate::command();
    command.args(["--route", &route, "--workers", "3", "--status", "127.0.0.1:0"]);
    let mut gateway = Gateway::spawn(command).await;
    let status = gateway.program.line_after("status on http://").await.parse().unwrap();
    // The address is printed before all workers have started.
    bounded("all workers", async { while gauges(status, ["gateway_workers"]).await != [3] {} }).await;
    let [tunnels, before] = gauges(status, COUNTS).await;
    assert_eq!(tunnels, 0);

    // The kernel distributes them; that all reach the worker of the status is next to impossible.
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(gateway.websocket("/").await.unwrap());
    }
    let mut client = Client::over(gateway.connect().await).await;
    let stream = websocket::Client::on(&mut client, "/").await;
    let [tunnels, tasks] = gauges(status, COUNTS).await;
    assert_eq!(tunnels, 21);
    assert!(tasks >= before + 21, "{tasks} after {before}");

    drop((open, stream, client));
    // The gateway notices the ends some time later.
    bounded("all tunnels to end", async { while gauges(status, COUNTS).await != [0, before] {} }).await;
}

/// Status of this path.
async fn probe(status: SocketAddr, path: &str) -> u16 {
    get(&mut Wire::connect(status).await, path).await.0.status()
}

#[tokio::test]
async fn the_status_answers_to_the_end_and_says_when_the_gateway_is_not_ready() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let mut gateway = Gateway::start(&[
        "--route",
        &route,
        "--status",
        "127.0.0.1:0",
        "--lame-duck",
        "2s",
        "--drain",
        "20s",
    ])
    .await;
    let status = gateway.program.line_after("status on http://").await.parse().unwrap();
    let (client, server) = upstream.tunnel(gateway.wire().await).await;
    for path in ["/alive", "/ready", "/", "/metrics"] {
        assert_eq!(probe(status, path).await, 200, "{path}");
    }
    gateway.program.signal("TERM").await;
    gateway.program.wait_for_log("not ready any more").await;
    assert_eq!((probe(status, "/alive").await, probe(status, "/ready").await), (200, 503));
    // The lame duck still serves everything.
    let late = upstream.tunnel(gateway.wire().await).await;
    gateway.program.wait_for_log("draining tunnels=2").await;
    bounded("the listener to be closed", async {
        while tokio::net::TcpStream::connect(gateway.address).await.is_ok() {}
    })
    .await;
    assert_eq!((probe(status, "/alive").await, probe(status, "/ready").await), (200, 503));
    assert_eq!(gauges(status, ["gateway_tunnels"]).await, [2]);
    drop(late);
    bounded("one to end", async { while gauges(status, ["gateway_tunnels"]).await != [1] {} }).await;
    drop((client, server));
    assert_eq!(gateway.program.exit_code().await, Some(0));
}
