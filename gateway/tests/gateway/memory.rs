//! Memory that a hostile connection takes, with the default limits.
#![cfg(target_os = "linux")]

use std::{fs, time::Duration};

use test_support::{
    ScriptedUpstream, Wire, bounded,
    http2::{
        Client,
        frame::{END_HEADERS, HEADERS, PREFACE, PREFACE_AND_SETTINGS, SETTINGS, WINDOW_UPDATE, frame},
        stream,
    },
};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

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

/// Streams of one connection.
const STREAMS: usize = 20;

/// Time without progress after which a transfer counts as stalled.
const STALLED: Duration = Duration::from_secs(1);

/// The start of a connection in HTTP/2 with the largest windows.
fn unlimited_preface() -> Vec<u8> {
    const LARGEST: u32 = (1 << 31) - 1;
    let settings = [&4u16.to_be_bytes()[..], &LARGEST.to_be_bytes()].concat();
    let update = (LARGEST - 65_535).to_be_bytes();
    [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &settings), frame(WINDOW_UPDATE, 0, 0, &update)].concat()
}

/// A client in HTTP/2 that reads nothing, with the largest windows and a `GET /` on each stream.
async fn streams_that_are_not_read(gateway: &Gateway) -> Wire {
    let mut bytes = unlimited_preface();
    for index in 0..STREAMS {
        let stream = u32::try_from(2 * index + 1).unwrap();
        bytes.extend(frame(HEADERS, FLAGS, stream, &[0x82, 0x86, 0x84, 0x01, 1, b'a']));
    }
    let mut client = gateway.wire().await;
    client.send(bytes).await;
    client
}

#[tokio::test]
async fn g17_streams_whose_socket_is_not_read_take_a_bounded_amount() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--workers", "1"]).await;
    let before = memory(&gateway);
    let _client = streams_that_are_not_read(&gateway).await;
    let mut servers = tokio::task::JoinSet::new();
    for _ in 0..STREAMS {
        let mut server = upstream.accept().await;
        server.head().await;
        servers.spawn(async move {
            server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
            let chunks = "1\r\nx\r\n".repeat(1 << 12);
            while timeout(STALLED, server.stream.write_all(chunks.as_bytes())).await.is_ok() {}
            server
        });
    }
    let _servers = servers.join_all().await;
    let grown = memory(&gateway) - before;
    eprintln!("unread responses on {STREAMS} streams: {grown} KiB");
    assert!(grown < STREAMS * 512, "{grown} KiB");
}

#[tokio::test]
async fn g17_a_tunnel_whose_socket_is_not_read_takes_a_bounded_amount() {
    const MESSAGES: usize = 300_000;
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--workers", "1"]).await;
    // CONNECT, `:protocol`, http, /, and the authority.
    let connect = [
        &b"\x42\x07CONNECT\x40\x09:protocol\x09websocket\x86\x84\x41\x01a"[..],
        b"\x40\x15sec-websocket-version\x0213",
    ];
    let mut client = gateway.wire().await;
    client.send(unlimited_preface()).await;
    client.send(frame(HEADERS, END_HEADERS, 1, &connect.concat())).await;
    let mut server = upstream.accept_upgrade().await;
    server.stream.set_nodelay(true).unwrap();
    let before = memory(&gateway);
    // Each message on its own, so that few are read together.
    for _ in 0..MESSAGES {
        if timeout(STALLED, server.stream.write_all(b"\x82\x01x")).await.is_err() {
            break;
        }
    }
    let grown = memory(&gateway) - before;
    eprintln!("an unread tunnel: {grown} KiB");
    assert!(grown < 8 << 10, "{grown} KiB");
}

#[tokio::test]
async fn g17_request_bodies_that_are_not_read_take_their_windows() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--workers", "1"]).await;
    let before = memory(&gateway);
    let mut client = Client::connect(gateway.address).await;
    let mut uploads = tokio::task::JoinSet::new();
    let mut servers = Vec::new();
    for _ in 0..STREAMS {
        let request = http::Request::post("http://a/").body(()).unwrap();
        let mut pending = client.send_request(request, false);
        servers.push(upstream.accept().await);
        uploads.spawn(async move {
            while timeout(STALLED, stream::send(&mut pending.send, &[0; 1 << 14])).await.is_ok() {}
            pending
        });
    }
    let _uploads = uploads.join_all().await;
    let grown = memory(&gateway) - before;
    eprintln!("unread request bodies on {STREAMS} streams: {grown} KiB");
    assert!(grown < STREAMS * 512, "{grown} KiB");
}
