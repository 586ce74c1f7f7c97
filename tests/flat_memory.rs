//! Memory of the process while a gibibyte passes through `Forward` in each direction. A program of its own, because it
//! reads the memory of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use test_support::{ScriptedUpstream, Wire, bounded, serve};
use tokio::io::AsyncReadExt;
use tower_upgrade_proxy::proxy_pass;

const GIBIBYTE: usize = 1 << 30;
const BLOCK: usize = 1 << 18;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Sends a gibibyte from one connection to the other. Returns the growth of memory meanwhile.
async fn transfer(mut from: Wire, mut to: Wire) -> usize {
    let before = resident();
    let sender = tokio::spawn(async move {
        let block = vec![7; BLOCK];
        for _ in 0..GIBIBYTE / BLOCK {
            from.send(&block).await;
        }
        from
    });
    let (expected, mut buffer) = (vec![7; BLOCK], vec![0; BLOCK]);
    let (mut received, mut reads, mut highest) = (to.buffered().len(), 0, 0);
    while received < GIBIBYTE {
        let read = bounded("bytes", to.stream.read(&mut buffer)).await.unwrap();
        assert!(read > 0 && buffer[..read] == expected[..read], "after {received} bytes");
        received += read;
        reads += 1;
        if reads % 500 == 0 {
            highest = highest.max(resident());
        }
    }
    assert_eq!(received, GIBIBYTE);
    sender.await.unwrap();
    highest.saturating_sub(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_a_gibibyte_in_each_direction() {
    let upstream = ScriptedUpstream::start().await;
    let address = serve(axum::Router::new().fallback_service(proxy_pass(upstream.upstream()))).await;

    let mut client = Wire::connect(address).await;
    client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {GIBIBYTE}\r\n\r\n")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    let up = transfer(client, server).await;

    let mut client = Wire::connect(address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {GIBIBYTE}\r\n\r\n")).await;
    client.head().await;
    let down = transfer(server, client).await;

    let mib = |bytes: usize| bytes >> 20;
    eprintln!("memory grew by {} MiB during the upload, {} MiB during the download", mib(up), mib(down));
    assert!(mib(up.max(down)) < 32, "up {} MiB, down {} MiB", mib(up), mib(down));
}
