//! Memory that a hostile connection takes, with the default limits.
#![cfg(target_os = "linux")]

use std::{fs, time::Duration};

use test_support::{
    ScriptedUpstream, Wire, bounded,
    http2::frame::{HEADERS, PREFACE_AND_SETTINGS, frame},
};
use tokio::time::sleep;

use crate::Gateway;

/// `END_STREAM` and `END_HEADERS`.
const FLAGS: u8 = 5;

/// Resident memory, in KiB.
fn memory(gateway: &Gateway) -> usize {
    let status =
        fs::read_to_string(format!("/proc/{}/status", gateway.program.process.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The memory that each of `number` connections takes which send these bytes and then wait, in KiB.
async fn growth(number: usize, sent: &[u8]) -> usize {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--workers", "1", "--client-timeout", "60s"]).await;
    let before = memory(&gateway);
    let mut clients = Vec::new();
    for _ in 0..number {
        let mut client: Wire = gateway.wire().await;
        client.send(sent).await;
        clients.push(client);
    }
    let mut last = before;
    bounded("the memory to be taken", async {
        loop {
            sleep(Duration::from_millis(300)).await;
            match memory(&gateway) {
                now if now == last => return,
                now => last = now,
            }
        }
    })
    .await;
    (last - before) / number
}

/// Requests whose fields are references to one small entry of the dynamic table.
fn hpack_bomb(streams: u32, fields: usize) -> Vec<u8> {
    let mut bytes = PREFACE_AND_SETTINGS.to_vec();
    for stream in 0..streams {
        // GET, http, /, and the authority without an entry in the table.
        let mut block = vec![0x82, 0x86, 0x84, 0x01, 1, b'a'];
        if stream == 0 {
            block.extend([0x40, 1, b'a', 0]);
        }
        block.extend(vec![0xbe; fields]);
        bytes.extend(frame(HEADERS, FLAGS, 2 * stream + 1, &block));
    }
    bytes
}

#[tokio::test]
async fn g14_a_connection_with_compressed_fields_takes_a_bounded_amount() {
    // As many fields as are accepted, and as many as fit into a frame.
    for (streams, fields) in [(250, 470), (40, 16_000)] {
        let bomb = hpack_bomb(streams, fields);
        let grown = growth(4, &bomb).await;
        eprintln!("HPACK: {} bytes become {grown} KiB", bomb.len());
        assert!(grown < 12 << 10, "{fields} fields: {grown} KiB");
    }
}

#[tokio::test]
async fn g15_an_unfinished_head_takes_a_bounded_amount() {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(60_000));
    let grown = growth(100, head.as_bytes()).await;
    eprintln!("unfinished heads: {grown} KiB each");
    assert!(grown < 256, "{grown} KiB");
}

#[tokio::test]
async fn g16_an_idle_connection_takes_a_bounded_amount() {
    for sent in ["G".as_bytes(), PREFACE_AND_SETTINGS] {
        let grown = growth(200, sent).await;
        eprintln!("idle: {grown} KiB each");
        assert!(grown < 64, "{grown} KiB");
    }
}
