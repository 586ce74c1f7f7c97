//! Timeouts for upstreams, of ordinary requests and of upgrades.

use test_support::{SWITCHING, ScriptedUpstream, Wire, handshake};

use crate::Gateway;

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: client.example\r\n\r\n";

#[tokio::test]
async fn header_timeout_applies_to_ordinary_requests_only() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--header-timeout", "200ms"]).await;
    let (mut client, mut upgrading) = (gateway.wire().await, gateway.wire().await);
    upgrading.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;

    let head = client.request(REQUEST).await;
    assert_eq!(head.status(), 504);
    assert_eq!(client.body(&head).await, b"504 Gateway Timeout: the upstream did not respond in time\n");

    server.send(SWITCHING).await;
    assert_eq!(upgrading.head().await.status(), 101, "this one has waited longer than the timeout");
}

#[tokio::test]
async fn handshake_timeout_applies_to_upgrades_only() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--handshake-timeout", "200ms"]).await;
    let (mut client, mut upgrading) = (gateway.wire().await, gateway.wire().await);
    client.send(REQUEST).await;
    let mut server = upstream.accept().await;
    server.head().await;

    assert_eq!(upgrading.request(handshake("/")).await.status(), 504);

    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
    assert_eq!(client.head().await.status(), 200, "this one has waited longer than the timeout");
}

/// A response of which the upstream has sent half, in a gateway that runs until it is dropped.
async fn half_a_response(body_timeout: &str) -> (Gateway, Wire, Wire) {
    let upstream = ScriptedUpstream::start().await;
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
async fn body_timeout_aborts_the_response_and_off_waits() {
    let (_waiting_gateway, mut waiting, mut server) = half_a_response("off").await;
    let (_gateway, mut aborted, _silent) = half_a_response("200ms").await;
    aborted.expect_end().await;
    server.send("done").await;
    waiting.expect("done").await;
}

#[tokio::test]
async fn pool_idle_timeout_closes_idle_connections() {
    let upstream = ScriptedUpstream::start().await;
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

#[tokio::test]
async fn idle_connections_are_limited_per_upstream_and_in_all() {
    for limit in [["--pool-max-idle-per-upstream", "1"], ["--pool-max-idle", "1"]] {
        let upstream = ScriptedUpstream::start().await;
        let route = format!("/={}", upstream.uri());
        let gateway = Gateway::start(&[&["--route", &route, "--workers", "1"], &limit[..]].concat()).await;
        let (mut one, mut two) = (gateway.wire().await, gateway.wire().await);
        let mut first = upstream.receive(&mut one, REQUEST).await;
        let mut second = upstream.receive(&mut two, REQUEST).await;
        for (client, server) in [(&mut one, &mut first), (&mut two, &mut second)] {
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 200);
        }
        // The one that was idle for longest is closed, the other one is reused.
        first.expect_end().await;
        one.send(REQUEST).await;
        second.head().await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_pool_idle_timeout_beyond_the_clock_is_none() {
    let upstream = ScriptedUpstream::start().await;
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
    gateway.program.signal("TERM").await;
    assert_eq!(gateway.program.exit_code().await, Some(0));
    let log = gateway.program.rest_of_log().await;
    assert!(log.contains("stopped") && !log.contains("panicked"), "{log}");
}
