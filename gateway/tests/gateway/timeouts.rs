//! How long an upstream may take, for ordinary requests and for upgrades.

use crate::{
    Gateway,
    support::{SWITCHING, Scripted, Wire, handshake},
};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: client.example\r\n\r\n";

#[tokio::test]
async fn header_timeout_ends_ordinary_requests_alone() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--header-timeout", "200ms"]).await;
    let (mut client, mut upgrading) = (gateway.wire().await, gateway.wire().await);
    upgrading.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;

    let head = client.ask(REQUEST).await;
    assert_eq!(head.status(), 504);
    assert_eq!(client.body(&head).await, b"504 Gateway Timeout: the upstream did not respond in time\n");

    server.send(SWITCHING).await;
    assert_eq!(upgrading.head().await.status(), 101, "it waited at least as long");
}

#[tokio::test]
async fn handshake_timeout_ends_upgrades_alone() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--handshake-timeout", "200ms"]).await;
    let (mut client, mut upgrading) = (gateway.wire().await, gateway.wire().await);
    client.send(REQUEST).await;
    let mut server = upstream.accept().await;
    server.head().await;

    assert_eq!(upgrading.ask(handshake("/")).await.status(), 504);

    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
    assert_eq!(client.head().await.status(), 200, "it waited at least as long");
}

/// A response of which the upstream has sent a half. The gateway runs as long as the first is held.
async fn half_a_response(body_timeout: &str) -> (Gateway, Wire, Wire) {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--body-timeout", body_timeout]).await;
    let mut client = gateway.wire().await;
    client.send(REQUEST).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf").await;
    assert_eq!(client.head().await.status(), 200);
    client.expect("half").await;
    (gateway, client, server)
}

#[tokio::test]
async fn body_timeout_aborts_the_client_and_off_waits() {
    let (_patient, mut waiting, mut server) = half_a_response("off").await;
    let (_hasty, mut cut, _silent) = half_a_response("200ms").await;
    cut.expect_end().await;
    server.send("done").await;
    waiting.expect("done").await;
}

#[tokio::test]
async fn pool_idle_timeout_ends_what_the_next_request_would_have_used() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--pool-idle-timeout", "200ms"]).await;
    let mut client = gateway.wire().await;
    client.send(REQUEST).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
    server.expect_end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_pool_idle_timeout_beyond_all_clocks_is_none() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let forever = format!("{}s", u64::MAX);
    let mut gateway = Gateway::start(&["--route", &route, "--pool-idle-timeout", &forever]).await;
    let mut client = gateway.wire().await;
    client.send(REQUEST).await;
    let mut server = upstream.accept().await;
    for _ in 0..2 {
        server.head().await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
        client.send(REQUEST).await;
    }
    drop((client, server));
    gateway.signal("TERM").await;
    assert_eq!(gateway.code().await, Some(0));
    let log = gateway.program.rest_of_log().await;
    assert!(log.contains("stopped") && !log.contains("panicked"), "{log}");
}
