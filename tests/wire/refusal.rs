//! Limits on the time and size of a response that refuses an upgrade.

use std::time::Duration;

use axum::Router;
use test_support::{ScriptedUpstream, Wire, bounded, handshake, http2::Client, http2::stream::rest, serve};
use tower_upgrade_proxy::{Protocols, UpgradeProxyLayer};

use crate::{app, http2};

const LIMIT: Duration = Duration::from_secs(1);

fn layer(upstream: &ScriptedUpstream) -> UpgradeProxyLayer {
    UpgradeProxyLayer::new(upstream.upstream()).refusal_timeout(LIMIT).max_refusal_size(1000)
}

/// Returns a client that has sent a handshake, and the upstream that refuses it with this head.
async fn refused(layer: UpgradeProxyLayer, upstream: &ScriptedUpstream, head: &str) -> (Wire, Wire) {
    let mut client = Wire::connect(app(layer).await).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    server.send(format!("HTTP/1.1 403 Forbidden\r\n{head}\r\n")).await;
    (client, server)
}

#[tokio::test]
async fn a_slow_refusal_is_aborted_at_the_refusal_timeout() {
    let upstream = ScriptedUpstream::start().await;
    for head in ["Transfer-Encoding: chunked\r\n", "Content-Length: 1000\r\n", "Connection: close\r\n"] {
        let (mut client, mut server) = refused(layer(&upstream), &upstream, head).await;
        assert_eq!(client.head().await.status(), 403);
        let send_slowly = async {
            let chunk = if head.starts_with('T') { "1\r\nx\r\n" } else { "x" };
            while tokio::io::AsyncWriteExt::write_all(&mut server.stream, chunk.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let (rest, ()) = tokio::join!(client.rest(), bounded("the end of the upstream", send_slowly));
        assert!(!rest.is_empty() && !rest.ends_with(b"0\r\n\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_delays_the_upstream_only_until_the_refusal_timeout() {
    let upstream = ScriptedUpstream::start().await;
    let layer = layer(&upstream).max_refusal_size(u64::MAX);
    let head = "Transfer-Encoding: chunked\r\n";
    let (_client, mut server) = refused(layer, &upstream, head).await;
    let chunk = [b"8000\r\n", vec![b'x'; 0x8000].as_slice(), b"\r\n"].concat();
    let flood = async {
        let mut sent = 0;
        while tokio::io::AsyncWriteExt::write_all(&mut server.stream, &chunk).await.is_ok() {
            sent += chunk.len();
        }
        sent
    };
    let sent = bounded("the end of the upstream", flood).await;
    assert!(sent < 64 << 20, "more than the sockets hold was read: {sent}");
}

#[tokio::test]
async fn an_announced_oversized_body_is_a_502_and_an_unannounced_one_is_aborted() {
    let upstream = ScriptedUpstream::start().await;
    let (mut client, mut server) = refused(layer(&upstream), &upstream, "Content-Length: 1001\r\n").await;
    assert_eq!(client.head().await.status(), 502);
    server.expect_end().await;

    let slow = || layer(&upstream).refusal_timeout(Duration::from_secs(3600));
    let (mut client, mut server) = refused(slow(), &upstream, "Transfer-Encoding: chunked\r\n").await;
    assert_eq!(client.head().await.status(), 403);
    server.send(format!("3e8\r\n{}\r\n", "x".repeat(1000))).await;
    client.expect(format!("3E8\r\n{}\r\n", "x".repeat(1000))).await;
    server.send("1\r\nx\r\n").await;
    client.expect_end().await;
    server.expect_end().await;
}

#[tokio::test]
async fn a_refusal_within_the_limits_is_relayed_whole_and_the_connection_stays_open() {
    let upstream = ScriptedUpstream::start().await;
    let body = "x".repeat(1000);
    for head in ["Content-Length: 1000\r\n", "Connection: close\r\n", "Content-Length: 0\r\n"] {
        let (mut client, mut server) = refused(layer(&upstream), &upstream, head).await;
        let empty = head.ends_with(": 0\r\n");
        server.send(if empty { "" } else { &body }).await;
        drop(server);
        let head = client.head().await;
        assert_eq!(client.body(&head).await, if empty { "" } else { &body }.as_bytes());
        assert_eq!(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status(), 200);
    }
}

#[tokio::test]
async fn a_refusal_in_progress_counts_as_a_tunnel() {
    let upstream = ScriptedUpstream::start().await;
    let address = app(layer(&upstream).refusal_timeout(Duration::from_secs(3600)).max_tunnels(1)).await;
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nn").await;
    assert_eq!(client.head().await.status(), 403);
    client.expect("n").await;
    assert_eq!(Wire::connect(address).await.request(handshake("/")).await.status(), 503);
    server.send("o").await;
    client.expect("o").await;
    let next = async {
        loop {
            let mut next = Wire::connect(address).await;
            next.send(handshake("/")).await;
            tokio::select! {
                head = next.head() => assert_eq!(head.status(), 503),
                _ = upstream.accept() => return,
            }
        }
    };
    bounded("the permit", next).await;
}

#[tokio::test]
async fn over_http2_only_the_stream_of_the_refusal_is_reset() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(app(layer(&upstream)).await).await;
    let sending = tokio::spawn({
        let mut client = client.clone();
        async move { http2::send(&mut client, http2::extended("websocket")).await }
    });
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n").await;
    let refusal = sending.await.unwrap();
    assert_eq!(refusal.status(), 403);
    assert!(rest(&mut refusal.into_body()).await.is_err());
    server.expect_end().await;
    let ordinary = http::Request::get("https://a.example/");
    assert_eq!(http2::send(&mut client, ordinary).await.status(), 200);
}

#[tokio::test]
async fn refusals_of_other_protocols_are_limited_too_and_count_as_tunnels() {
    let upstream = ScriptedUpstream::start().await;
    let layer = layer(&upstream).protocols(Protocols::any()).max_tunnels(1);
    let address = app(layer).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n";
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, request).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 502);
    server.expect_end().await;

    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, request).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome").await;
    assert_eq!(client.head().await.status(), 200);
    client.expect("some").await;
    assert_eq!(Wire::connect(address).await.request(request).await.status(), 503);
    client.expect_end().await;
    server.expect_end().await;
}

/// Head, data and the failure arrive at once: the data before the failure is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn data_received_before_a_failure_is_relayed() {
    let upstream = ScriptedUpstream::start().await;
    let address = serve(Router::new().fallback_service(layer(&upstream).forward())).await;
    for request in [handshake("/"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()] {
        for _ in 0..500 {
            let mut client = Wire::connect(address).await;
            let mut server = upstream.receive(&mut client, &request).await;
            server.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n").await;
            drop(server);
            assert_eq!(client.head().await.status(), 403);
            assert_eq!(client.rest().await, b"4\r\nsome\r\n");
        }
    }
}
