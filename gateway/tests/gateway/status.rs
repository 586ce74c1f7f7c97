//! `--status`: how much there is.

use std::net::SocketAddr;

use crate::{
    Gateway,
    http2::Client,
    support::{Wire, bounded},
    upstream,
};

/// Of the answer to any request: type and value of these gauges.
async fn ask<const N: usize>(status: SocketAddr, gauges: [&str; N]) -> [usize; N] {
    let mut wire = Wire::connect(status).await;
    let head = wire.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(head.status(), 200);
    let text = String::from_utf8(wire.body(&head).await).unwrap();
    gauges.map(|name| {
        assert!(text.contains(&format!("# TYPE {name} gauge\n")), "{text}");
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
        line.parse().unwrap()
    })
}

const COUNTS: [&str; 2] = ["gateway_tunnels", "gateway_tasks"];

#[tokio::test]
async fn it_counts_the_tunnels_and_tasks_of_all_workers() {
    let route = format!("/={}", upstream::start("app").await);
    let mut command = crate::command();
    command.args(["--route", &route, "--workers", "3", "--status", "127.0.0.1:0"]);
    let mut gateway = Gateway::spawn(command).await;
    let status = gateway.program.line_after("status on http://").await.parse().unwrap();
    // One says that it listens when the others are still to begin.
    bounded("all workers", async { while ask(status, ["gateway_workers"]).await != [3] {} }).await;
    let [tunnels, before] = ask(status, COUNTS).await;
    assert_eq!(tunnels, 0);

    // The kernel deals them out; that all came to the worker which answers is next to impossible.
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(gateway.websocket("/").await.unwrap());
    }
    let mut client = Client::new(gateway.connect().await).await;
    let stream = client.websocket("/").await;
    let [tunnels, tasks] = ask(status, COUNTS).await;
    assert_eq!(tunnels, 21);
    assert!(tasks >= before + 21, "{tasks} after {before}");

    drop((open, stream, client));
    // The gateway learns of the ends in its own time.
    bounded("everything to go", async { while ask(status, COUNTS).await != [0, before] {} }).await;
}
