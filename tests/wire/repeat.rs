//! Requests that are sent again because the upstream closed a reused connection.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use test_support::{Head, ScriptedUpstream, Wire, serve};
use tokio::time::Instant;
use tower_upgrade_proxy::UpgradeProxyLayer;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Starts a location, and uses a connection to its upstream once. Returns it, idle.
async fn warm(
    set: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
) -> (ScriptedUpstream, SocketAddr, Wire) {
    let upstream = ScriptedUpstream::start().await;
    let layer = set(UpgradeProxyLayer::new(upstream.upstream()));
    let address = serve(Router::new().fallback_service(layer.forward())).await;
    let mut client = Wire::connect(address).await;
    let mut server = upstream.receive(&mut client, "GET /warm HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.send(OK).await;
    let head = client.head().await;
    assert_eq!(client.body(&head).await, b"ok");
    (upstream, address, server)
}

/// Sends `request`, which must arrive on `server`.
async fn send(address: SocketAddr, server: &mut Wire, request: &str) -> (Wire, Head) {
    let mut client = Wire::connect(address).await;
    client.send(request).await;
    (client, server.head().await)
}

fn close(server: Wire, with_reset: bool) {
    match with_reset {
        true => server.reset(),
        false => drop(server),
    }
}

#[tokio::test]
async fn an_idempotent_request_without_a_body_is_sent_once_more_on_a_new_connection() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"] {
        for with_reset in [false, true] {
            let (upstream, address, mut server) = warm(|layer| layer).await;
            let request =
                format!("{method} /x?y HTTP/1.1\r\nHost: a.example\r\nX-Odd: 1\r\nX-Odd: 2\r\n\r\n");
            let (mut client, first) = send(address, &mut server, &request).await;
            close(server, with_reset);
            let mut second = upstream.accept().await;
            assert_eq!(second.head().await.text(), first.text(), "{method}");
            second.send("HTTP/1.1 204 No Content\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 204, "{method}");
            upstream.expect_untouched().await;
        }
    }
}

#[tokio::test]
async fn any_other_request_is_sent_once() {
    let requests = [
        "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ];
    for request in requests {
        for with_reset in [false, true] {
            let (upstream, address, mut server) = warm(|layer| layer).await;
            let (mut client, _) = send(address, &mut server, request).await;
            close(server, with_reset);
            assert_eq!(client.head().await.status(), 502, "{request}");
            upstream.expect_untouched().await;
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_again_after_the_first_byte_of_a_response() {
    for response in
        ["H", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 103 Early Hints\r\n\r\n", "garbage\r\n\r\n"]
    {
        let (upstream, address, mut server) = warm(|layer| layer).await;
        let (mut client, _) = send(address, &mut server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        server.send(response).await;
        drop(server);
        assert_eq!(client.head().await.status(), 502, "{response}");
        upstream.expect_untouched().await;
    }
}

#[tokio::test]
async fn a_request_that_fails_on_a_new_connection_is_not_sent_again() {
    let (upstream, address, mut server) = warm(|layer| layer).await;
    let (mut client, _) = send(address, &mut server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(server);
    let mut second = upstream.accept().await;
    second.head().await;
    drop(second);
    assert_eq!(client.head().await.status(), 502);
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn the_header_timeout_covers_both_attempts() {
    let started = Instant::now();
    let (upstream, address, mut server) = warm(|layer| layer.header_timeout(Duration::from_secs(2))).await;
    let (mut client, _) = send(address, &mut server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(server);
    let mut second = upstream.accept().await;
    second.head().await;
    assert_eq!(client.head().await.status(), 504);
    assert!(started.elapsed() < Duration::from_millis(2900), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_request_of_which_nothing_was_written_is_sent_on_another_connection() {
    let (upstream, address, server) = warm(|layer| layer).await;
    drop(server);
    // Time for the runtime to learn of the end.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut client = Wire::connect(address).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let mut server = upstream.receive(&mut client, request).await;
    server.expect("hi").await;
    server.send(OK).await;
    assert_eq!(client.head().await.status(), 200);
}
