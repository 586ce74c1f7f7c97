//! Connections of clients: their number, their requests, and their timeouts between requests.

use std::time::{Duration, Instant};

use test_support::{ScriptedUpstream, Wire, bounded, handshake, http2::Client};

use crate::{Gateway, get, upstream};

/// A timeout that does not expire in a test, and one that does.
const LONG: &str = "60s";
const SHORT: Duration = Duration::from_millis(500);

async fn start(arguments: &[&str]) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    Gateway::start(&[&["--route", &route], arguments].concat()).await
}

/// Sends a request and this start of the next one. Returns the time until the connection is closed.
async fn time_to_close(gateway: &Gateway, next: &str) -> Duration {
    let mut client = gateway.wire().await;
    assert_eq!(get(&mut client, "/").await.0.status(), 200);
    let begin = Instant::now();
    client.send(next).await;
    client.expect_end().await;
    begin.elapsed()
}

#[tokio::test]
async fn a_connection_without_a_further_request_is_closed_after_the_keep_alive_timeout() {
    let gateway = start(&["--keep-alive-timeout", "500ms", "--client-timeout", LONG]).await;
    let waited = time_to_close(&gateway, "").await;
    assert!(waited >= SHORT * 9 / 10, "{waited:?}");
}

#[tokio::test]
async fn the_client_timeout_applies_from_the_first_byte_of_a_further_request() {
    let gateway = start(&["--keep-alive-timeout", LONG, "--client-timeout", "500ms"]).await;
    let waited = time_to_close(&gateway, "GET / HTTP/1.1\r\nHost: client.ex").await;
    assert!(waited >= SHORT * 9 / 10, "{waited:?}");
}

#[tokio::test]
async fn a_connection_that_waits_longer_than_the_client_timeout_serves_its_next_request() {
    let gateway = start(&["--keep-alive-timeout", LONG, "--client-timeout", "500ms"]).await;
    let mut client = gateway.wire().await;
    for _ in 0..3 {
        assert_eq!(get(&mut client, "/").await.0.status(), 200);
        tokio::time::sleep(SHORT * 2).await;
    }
}

#[tokio::test]
async fn j11_the_last_request_of_a_connection_closes_it_in_both_versions() {
    let gateway = start(&["--keep-alive-requests", "2"]).await;
    let mut client = gateway.wire().await;
    assert!(get(&mut client, "/").await.0.values("connection").is_empty());
    assert!(get(&mut client, "/").await.0.has("connection", "close"));
    client.expect_end().await;

    let mut client = Client::over(gateway.connect().await).await;
    for _ in 0..2 {
        assert_eq!(client.request("GET", "/", "").await.0, 200);
    }
    client.goaway().await;
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_and_tunnels_are_not_counted() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let arguments = ["--route", &route, "--workers", "4", "--max-connections", "1"];
    let gateway = Gateway::start(&arguments).await;
    let mut tunnel = gateway.wire().await;
    tunnel.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    for _ in 0..8 {
        gateway.wire().await.expect_end().await;
    }
    server.send(test_support::SWITCHING).await;
    assert_eq!(tunnel.head().await.status(), 101);
    bounded("a free permit", async {
        loop {
            let mut client = gateway.wire().await;
            let request = "GET / HTTP/1.0\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, request.as_bytes()).await;
            let accepted = tokio::time::timeout(Duration::from_millis(100), upstream.accept()).await;
            if accepted.is_ok() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn j10_a_method_that_arrives_byte_by_byte_is_read_as_sent() {
    let gateway = start(&[]).await;
    for method in ["P", "PR", "PRO", "PUT", "POST", "GET"] {
        let mut client = gateway.wire().await;
        for byte in method.as_bytes() {
            client.send([*byte]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let head = client.request(" /x HTTP/1.1\r\nHost: client.example\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(head.status(), 200, "{method}");
        assert_eq!(client.body(&head).await, b"app /x client.example", "{method}");
    }
}

#[tokio::test]
async fn a_head_above_the_limit_gets_431() {
    let gateway = start(&[]).await;
    let mut client: Wire = gateway.wire().await;
    let request = format!("GET / HTTP/1.1\r\nHost: client.example\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    assert_eq!(client.request(request).await.status(), 431);
}

#[tokio::test]
async fn a_refused_connect_ends_the_connection() {
    let mut gateway = start(&["--status", "127.0.0.1:0"]).await;
    let status = gateway.program.line_after("status on http://").await.parse().unwrap();
    let next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    // Without a route, and on a listener that answers every request.
    for (mut client, code) in [(gateway.wire().await, 404), (Wire::connect(status).await, 405)] {
        let head = client.request(format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n{next}")).await;
        assert_eq!((head.status(), head.values("connection")), (code, vec!["close".to_owned()]));
        client.body(&head).await;
        client.expect_end().await;
    }
}
