//! A gateway that may open no more files.
#![cfg(target_os = "linux")]

use std::{
    fs::{self, DirEntry},
    time::Duration,
};

use tokio::time::sleep;

use crate::{
    Gateway, get,
    process::with_descriptors,
    support::{SWITCHING, Scripted, Wire, bounded, handshake, ping_pong},
};

/// How many of its first `limit` descriptors are free; it may have inherited others beyond.
fn free_descriptors(gateway: &Gateway, limit: usize) -> usize {
    let id = gateway.program.process.id().unwrap();
    let open = fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let number = |entry: &DirEntry| entry.file_name().to_str().unwrap().parse::<usize>().unwrap();
    limit - open.filter(|entry| number(entry.as_ref().unwrap()) < limit).count()
}

/// A connection that was accepted, which its answer shows.
async fn accepted(gateway: &Gateway) -> Wire {
    let mut wire = gateway.wire().await;
    assert_eq!(get(&mut wire, "/no-location").await.0.status(), 404);
    wire
}

async fn agree(client: &mut Wire, mut server: Wire) -> Wire {
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    server
}

/// In bulk too, for which there is no pipe to be had.
async fn expect_all_to_work(tunnels: &mut [(Wire, Wire)]) {
    let block = vec![b'x'; 1 << 20];
    for (client, server) in tunnels {
        ping_pong(client, server).await;
        let (_, received) = tokio::join!(client.send(&block), server.exactly(block.len()));
        assert!(received == block);
        ping_pong(client, server).await;
    }
}

#[tokio::test]
async fn g10_out_of_descriptors_new_upgrades_are_503_or_wait_while_tunnels_go_on_and_it_recovers() {
    const DESCRIPTORS: usize = 48;
    let upstream = Scripted::start().await;
    let mut gateway = with_descriptors(DESCRIPTORS, &format!("/ws/={}", upstream.uri())).await;
    // A tunnel takes two. With an odd number of them, the last is of a client to which is said no.
    let mut spare = vec![accepted(&gateway).await];
    if free_descriptors(&gateway, DESCRIPTORS).is_multiple_of(2) {
        spare.push(accepted(&gateway).await);
    }
    let places = free_descriptors(&gateway, DESCRIPTORS) / 2;
    assert!(places > 5, "{places} places");
    let mut tunnels = Vec::new();
    for _ in 0..places {
        let mut client = gateway.wire().await;
        client.send(handshake("/ws/")).await;
        let server = agree(&mut client, upstream.accept().await).await;
        tunnels.push((client, server));
    }
    let mut refused = gateway.wire().await;
    let head = refused.ask(handshake("/ws/")).await;
    assert_eq!((head.status(), head.values("retry-after").len()), (503, 1), "{}", head.text());
    refused.body(&head).await;
    expect_all_to_work(&mut tunnels).await;

    // The refused one's connection goes on: it has the last descriptor, so the next cannot even be accepted.
    let head = refused.ask(handshake("/ws/")).await;
    assert_eq!(head.status(), 503);
    refused.body(&head).await;
    assert_eq!(free_descriptors(&gateway, DESCRIPTORS), 0);
    let mut waiting = gateway.wire().await;
    waiting.send(handshake("/ws/")).await;
    gateway.program.wait_for_log("accept failed").await;
    expect_all_to_work(&mut tunnels).await;

    // Two tunnels less, and there is room for the one that waits, without anybody's help.
    tunnels.truncate(places - 2);
    let server = agree(&mut waiting, upstream.accept().await).await;
    tunnels.push((waiting, server));
    drop((refused, spare));
    // It learns of the ends in its own time.
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
    let server = bounded("a free place", recovered).await;
    let server = agree(&mut client, server).await;
    tunnels.push((client, server));
    expect_all_to_work(&mut tunnels).await;
}
