//! A gateway at its limit of open files.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, DirEntry},
    time::Duration,
};

use test_support::{SWITCHING, ScriptedUpstream, Wire, bounded, handshake, ping_pong};
use tokio::time::sleep;

use crate::{Gateway, get, process::with_descriptors};

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
async fn g10_out_of_descriptors_new_upgrades_are_503_or_wait_while_tunnels_stay_open_and_it_recovers() {
    const DESCRIPTORS: usize = 48;
    let upstream = ScriptedUpstream::start().await;
    let mut gateway = with_descriptors(DESCRIPTORS, &format!("/ws/={}", upstream.uri())).await;
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
    expect_all_open(&mut tunnels).await;

    // The connection of the refused client stays open, with the last descriptor: the next one cannot be accepted.
    let head = refused.request(handshake("/ws/")).await;
    assert_eq!(head.status(), 503);
    refused.body(&head).await;
    assert_eq!(free_descriptors(&gateway, DESCRIPTORS), 0);
    let mut waiting = gateway.wire().await;
    waiting.send(handshake("/ws/")).await;
    gateway.program.wait_for_log("accept failed").await;
    expect_all_open(&mut tunnels).await;

    // After two tunnels have ended, the waiting client is accepted.
    tunnels.truncate(tunnels_left - 2);
    let server = accept_tunnel(&mut waiting, upstream.accept().await).await;
    tunnels.push((waiting, server));
    drop((refused, spare));
    // The gateway notices the ends some time later.
    let mut client = gateway.wire().await;
    let recovered = async {
        loop {
            client.send(handshake("/ws/")).await;
            tokio::select! {
                server = upstream.accept() => return server,
                head = client.head() => {
                    assert_eq!(head.status(), 503);
                    client.body(&head).await;
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
    };
    let server = bounded("a free descriptor", recovered).await;
    let server = accept_tunnel(&mut client, server).await;
    tunnels.push((client, server));
    expect_all_open(&mut tunnels).await;
}
