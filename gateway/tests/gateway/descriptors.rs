//! A gateway at its limit of open files.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, DirEntry},
    time::Duration,
};

use test_support::{SWITCHING, ScriptedUpstream, Wire, bounded, handshake, ping_pong};
use tokio::time::sleep;

use crate::{
    Gateway, get,
    process::{with_descriptors, with_limits},
};

/// Number of free descriptors below `limit`; the process may have inherited others above.
fn free_descriptors(gateway: &Gateway, limit: usize) -> usize {
    let id = gateway.program.process.id().unwrap();
    let open = fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let number = |entry: &DirEntry| entry.file_name().to_str().unwrap().parse::<usize>().unwrap();
    limit - open.filter(|entry| number(entry.as_ref().unwrap()) < limit).count()
}

/// A connection that the gateway has accepted.
async fn accepted(gateway: &Gateway) -> Wire {
    let mut wire = gateway.wire().await;
    assert_eq!(get(&mut wire, "/no-location").await.0.status(), 404);
    wire
}

async fn accept_tunnel(client: &mut Wire, mut server: Wire) -> Wire {
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    server
}

/// Expects bytes in all tunnels, and bulk, for which no pipe can be opened.
async fn expect_all_open(tunnels: &mut [(Wire, Wire)]) {
    let block = vec![b'x'; 1 << 20];
    for (client, server) in tunnels {
        ping_pong(client, server).await;
        let (_, received) = tokio::join!(client.send(&block), server.exactly(block.len()));
        assert!(received == block);
        ping_pong(client, server).await;
    }
}

#[tokio::test]
async fn g10_out_of_descriptors_new_clients_get_503_while_tunnels_stay_open_and_it_recovers() {
    const DESCRIPTORS: usize = 64;
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/ws/={}", upstream.uri());
    let mut gateway = with_descriptors(DESCRIPTORS, &["--route", &route, "--status", "127.0.0.1:0"]).await;
    let status = gateway.program.line_after("status on http://").await.parse().unwrap();
    // A tunnel takes two. With an odd number, the last one is for a client that is refused.
    let mut spare = vec![accepted(&gateway).await];
    if free_descriptors(&gateway, DESCRIPTORS).is_multiple_of(2) {
        spare.push(accepted(&gateway).await);
    }
    let tunnels_left = free_descriptors(&gateway, DESCRIPTORS) / 2;
    assert!(tunnels_left > 5, "{tunnels_left} tunnels");
    let mut tunnels = Vec::new();
    for _ in 0..tunnels_left {
        let mut client = gateway.wire().await;
        client.send(handshake("/ws/")).await;
        let server = accept_tunnel(&mut client, upstream.accept().await).await;
        tunnels.push((client, server));
    }
    let mut refused = gateway.wire().await;
    let head = refused.request(handshake("/ws/")).await;
    assert_eq!((head.status(), head.values("retry-after").len()), (503, 1), "{}", head.text());
    refused.body(&head).await;
    refused.expect_end().await;
    expect_all_open(&mut tunnels).await;

    // The last descriptor is used, too. Further clients are refused at once, with one in reserve.
    spare.push(accepted(&gateway).await);
    assert_eq!(free_descriptors(&gateway, DESCRIPTORS), 0);
    for _ in 0..20 {
        let mut next = gateway.wire().await;
        let head = next.request(handshake("/ws/")).await;
        assert_eq!((head.status(), head.values("retry-after").len()), (503, 1), "{}", head.text());
        assert!(head.has("connection", "close"), "{}", head.text());
        next.body(&head).await;
        next.expect_end().await;
    }
    gateway.program.wait_for_log("connection accepted with a reserved descriptor").await;
    // The status has some of its own, though many clients wait that send nothing.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(gateway.wire().await);
    }
    let mut scraper = Wire::connect(status).await;
    let (head, text) = get(&mut scraper, "/").await;
    assert_eq!(head.status(), 200);
    assert!(text.contains(&format!("gateway_tunnels {tunnels_left}\n")), "{text}");
    expect_all_open(&mut tunnels).await;

    tunnels.truncate(tunnels_left - 2);
    drop((spare, silent, scraper));
    // The gateway notices the ends some time later.
    let recovered = async {
        loop {
            let mut client = gateway.wire().await;
            client.send(handshake("/ws/")).await;
            tokio::select! {
                server = upstream.accept() => return (client, server),
                _ = client.rest() => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let (mut client, server) = bounded("a free descriptor", recovered).await;
    let server = accept_tunnel(&mut client, server).await;
    tunnels.push((client, server));
    expect_all_open(&mut tunnels).await;
}

#[tokio::test]
async fn the_soft_limit_of_descriptors_is_raised_and_a_low_hard_limit_is_a_warning() {
    let route = format!("/={}", crate::upstream::start("app").await);
    let gateway = with_limits("-S", 40, &["--route", &route]).await;
    let mut tunnels = Vec::new();
    for _ in 0..40 {
        tunnels.push(gateway.websocket("/").await.unwrap());
    }

    let small = ["--max-tunnels", "100", "--max-connections", "50"];
    for (number, warns) in [(400, true), (500, false)] {
        let mut gateway = with_limits("", number, &[&["--route", &route][..], &small].concat()).await;
        assert_eq!(gateway.description("/").await, "app / client.example");
        gateway.program.signal("TERM").await;
        let log = gateway.program.rest_of_log().await;
        let warning = format!("limit={number} needed=428");
        assert_eq!(log.contains("is enough for 136 tunnels") && log.contains(&warning), warns, "{log}");
    }
}
