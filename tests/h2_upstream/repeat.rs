//! Requests that are sent again because the upstream closed a shared connection.

use test_support::{
    ScriptedUpstream, TestProxy, Wire,
    http2::{
        FrameConnection,
        frame::{CONNECT_PROTOCOL, OK},
    },
    proxy::Inner,
};
use tower_upgrade_proxy::UpgradeProxyLayer;

async fn start() -> (ScriptedUpstream, TestProxy) {
    let upstream = ScriptedUpstream::start().await;
    let proxy = TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    (upstream, proxy)
}

async fn send(proxy: &TestProxy, request: &str) -> Wire {
    let mut client = proxy.connect().await;
    client.send(request).await;
    client
}

/// Opens a connection with one request, which has got its response.
async fn warm(proxy: &TestProxy, upstream: &ScriptedUpstream) -> FrameConnection {
    let mut client = send(proxy, "GET /warm HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut connection = FrameConnection::accept(upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_ordinary_request().await;
    connection.last_headers(stream, OK).await;
    assert_eq!(client.head().await.status(), 200);
    connection
}

fn close(connection: FrameConnection, with_reset: bool) {
    match with_reset {
        true => connection.reset_connection(),
        false => drop(connection),
    }
}

#[tokio::test]
async fn an_idempotent_request_without_a_body_is_sent_once_more_on_a_new_connection() {
    for method in ["GET", "HEAD", "PUT", "DELETE"] {
        for with_reset in [false, true] {
            let (upstream, proxy) = start().await;
            let mut first = warm(&proxy, &upstream).await;
            let mut client = send(&proxy, &format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            first.next_ordinary_request().await;
            close(first, with_reset);
            let mut second = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
            let stream = second.next_ordinary_request().await;
            second.last_headers(stream, OK).await;
            assert_eq!(client.head().await.status(), 200, "{method}");
            upstream.expect_untouched().await;
        }
    }
}

#[tokio::test]
async fn any_other_request_is_sent_once() {
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ] {
        let (upstream, mut proxy) = start().await;
        let mut first = warm(&proxy, &upstream).await;
        let mut client = send(&proxy, request).await;
        first.next_ordinary_request().await;
        drop(first);
        assert_eq!(client.head().await.status(), 502, "{request}");
        assert!(proxy.error().await.is_upstream_protocol());
        upstream.expect_untouched().await;
    }
}

#[tokio::test]
async fn a_request_that_fails_on_a_new_connection_is_not_sent_again() {
    let (upstream, proxy) = start().await;
    let mut first = warm(&proxy, &upstream).await;
    let mut client = send(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    first.next_ordinary_request().await;
    drop(first);
    let mut second = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    second.next_ordinary_request().await;
    drop(second);
    assert_eq!(client.head().await.status(), 502);
    upstream.expect_untouched().await;
}
