//! Request bodies that the client pauses until a timeout of the proxy.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use http::Request;
use test_support::{
    ScriptedUpstream, Wire, bounded,
    http2::{
        Client,
        stream::{rest, send},
    },
    serve,
};
use tokio::io::{AsyncWriteExt, join, sink};
use tower_upgrade_proxy::{Protocol, Protocols, UpgradeProxyLayer};

const TIMEOUT: Duration = Duration::from_millis(300);

async fn location(upstream: &ScriptedUpstream) -> SocketAddr {
    let tcp = Protocol::new("tcp").unwrap().with_request_body();
    let layer = UpgradeProxyLayer::new(upstream.upstream())
        .protocols(Protocols::websocket().allow(tcp))
        .header_timeout(TIMEOUT)
        .handshake_timeout(TIMEOUT);
    serve(Router::new().fallback_service(layer.forward())).await
}

#[tokio::test]
async fn a_paused_upload_is_a_408_that_ends_the_connection() {
    let cases = [
        ("Content-Length: 8\r\n\r\n", "half"),
        ("Transfer-Encoding: chunked\r\n\r\n", "4\r\nhalf\r\n"),
        ("Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 8\r\n\r\n", "half"),
    ];
    let upstream = ScriptedUpstream::start().await;
    let address = location(&upstream).await;
    for (fields, half) in cases {
        let mut client = Wire::connect(address).await;
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}{half}");
        let mut server = upstream.receive(&mut client, request).await;
        server.expect(half).await;
        let head = client.head().await;
        assert!(head.status() == 408 && head.has("connection", "close"), "{}", head.text());
        let body = client.body(&head).await;
        assert_eq!(body, b"408 Request Timeout: the request body did not arrive in time\n");
        client.expect_end().await;
        server.expect_end().await;
    }
}

#[tokio::test]
async fn a_paused_upload_in_http2_is_a_408_and_its_connection_continues() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Client::connect(location(&upstream).await).await;
    for _ in 0..2 {
        let request = Request::post("http://a/").body(()).unwrap();
        let mut pending = client.send_request(request, false);
        send(&mut pending.send, b"half").await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.expect("4\r\nhalf\r\n").await;
        let (response, _up) = pending.response().await;
        assert_eq!(response.status(), 408);
        assert!(response.headers().get("connection").is_none());
        let body = rest(&mut response.into_body()).await.unwrap().0;
        assert_eq!(body, b"408 Request Timeout: the request body did not arrive in time\n");
        server.expect_end().await;
    }
}

#[tokio::test]
async fn an_upload_that_the_upstream_does_not_read_is_a_504() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(&upstream).await;
    for fields in ["", "Connection: Upgrade\r\nUpgrade: tcp\r\n"] {
        let (reading, mut writing) = Wire::connect(address).await.stream.into_split();
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 1000000000\r\n\r\n");
        bounded("the head", writing.write_all(head.as_bytes())).await.unwrap();
        let mut server = upstream.accept().await;
        server.head().await;
        let upload = tokio::spawn(async move {
            let block = vec![0; 1 << 16];
            while writing.write_all(&block).await.is_ok() {}
        });
        assert_eq!(Wire::new(join(reading, sink())).head().await.status(), 504, "{fields}");
        upload.abort();
    }
}

#[tokio::test]
async fn an_upload_that_has_ended_is_not_blamed() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location(&upstream).await).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\n\r\n";
    let mut server = upstream.receive(&mut client, request).await;
    server.expect("3\r\nall\r\n0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.status() == 504 && !head.has("connection", "close"), "{}", head.text());
}
