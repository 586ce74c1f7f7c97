//! `--send-timeout`: clients that do not read.
#![cfg(target_os = "linux")]

use std::time::Duration;

use futures_util::future::join_all;
use http::Request;
use test_support::{
    ScriptedUpstream, Wire, bounded,
    http2::{Client, PendingResponse},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::sleep,
};

use crate::Gateway;

const TIMEOUT: Duration = Duration::from_secs(1);

const LENGTH: usize = 200_000;

async fn start(upstream: &str) -> Gateway {
    Gateway::start(&["--route", &format!("/={upstream}"), "--send-timeout", "1s", "--idle-timeout", "off"])
        .await
}

/// An upstream that responds to each request with [`LENGTH`] bytes. Returns its URI.
async fn upstream() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut wire = Wire::new(socket);
                wire.head().await;
                let response =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n{}", "x".repeat(LENGTH));
                let _ = wire.stream.write_all(response.as_bytes()).await;
                wire.rest().await;
            });
        }
    });
    uri
}

/// Returns the number of descriptors of the gateway.
fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.program.process.id().unwrap())).unwrap().count()
}

/// Waits until the gateway has at most this number of descriptors.
async fn wait_for_descriptors(gateway: &Gateway, number: usize) {
    bounded("the descriptors", async {
        while descriptors(gateway) > number {
            sleep(TIMEOUT / 20).await;
        }
    })
    .await;
}

#[tokio::test]
async fn streams_without_a_window_give_all_descriptors_back() {
    let gateway = start(&upstream().await).await;
    let before = descriptors(&gateway);
    let clients = join_all((0..5).map(async |_| {
        let mut client = Client::with_window(gateway.address, 0).await;
        let mut pending = Vec::new();
        for _ in 0..50 {
            client.ready().await;
            pending.push(client.send_request(Request::get("http://a/").body(()).unwrap(), true));
        }
        // Some of them may be refused by a limit.
        let responses = join_all(pending.into_iter().map(PendingResponse::into_response)).await;
        (client, responses)
    }))
    .await;
    assert!(descriptors(&gateway) > before + 50, "{} descriptors", descriptors(&gateway));
    wait_for_descriptors(&gateway, before).await;
    drop(clients);
}

#[tokio::test]
async fn a_connection_that_is_not_read_is_closed_whatever_it_waits_for() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    // A response that fits the socket's buffer is complete for the gateway.
    let timeouts = ["--send-timeout", "1s", "--keep-alive-timeout", "1s"];
    let gateway = Gateway::start(&[&["--route", &route], &timeouts[..]].concat()).await;
    let before = descriptors(&gateway);
    for length in [100_000, 100_000_000] {
        for connection in ["keep-alive", "close"] {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let mut client = Wire::new(socket.connect(gateway.address).await.unwrap());
            let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {connection}\r\n\r\n");
            let mut server = upstream.receive(&mut client, request).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            server.send(head).await;
            let block = vec![b'x'; length];
            let _ = bounded("the end", server.stream.write_all(&block)).await;
            drop(server);
            wait_for_descriptors(&gateway, before).await;
            drop(client);
        }
    }
}

/// Sends until nothing more is accepted. Returns the number of bytes.
async fn fill(server: &mut Wire<TcpStream>) -> usize {
    let block = vec![b'x'; 1 << 16];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(TIMEOUT / 2, server.stream.write(&block)).await {
        sent += written.unwrap();
    }
    sent
}

#[tokio::test]
async fn tunnels_that_are_not_read_continue() {
    let upstream = ScriptedUpstream::start().await;
    let gateway = start(&upstream.uri()).await;
    let (mut client, mut server) = upstream.tunnel(gateway.wire().await).await;
    let mut in_http2 = Client::with_window(gateway.address, 1000).await;
    let pending = in_http2.connect_websocket("/");
    let mut stream_server = upstream.accept_upgrade().await;
    let mut stream = Wire::new(pending.tunnel().await);

    let (sent, stream_sent) = tokio::join!(fill(&mut server), fill(&mut stream_server));
    sleep(3 * TIMEOUT).await;
    client.exactly(sent).await;
    stream.exactly(stream_sent).await;
    server.send("on").await;
    client.expect("on").await;
    stream_server.send("on").await;
    stream.expect("on").await;
}
