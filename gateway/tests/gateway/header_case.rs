//! `--header-case`, in both directions.

use test_support::{KEY, ScriptedUpstream, accept, handshake, http2};

use crate::Gateway;

/// The heads that the upstream and the client receive, for a handshake in lower case that is answered in lower case.
async fn heads(case: &str) -> (String, String) {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--header-case", case]).await;
    let mut client = gateway.wire().await;
    client.send(handshake("/").replace("Sec-WebSocket-Key", "SEC-websocket-KEY")).await;
    let mut server = upstream.accept().await;
    let request = server.head().await.text();
    let accept = accept(KEY);
    server.send(format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nSEC-websocket-ACCEPT: {accept}\r\n\r\n")).await;
    (request, client.head().await.text())
}

#[tokio::test]
async fn title_spells_websocket_as_rfc_6455_does() {
    let (request, response) = heads("title").await;
    assert!(request.contains("\r\nSec-WebSocket-Key: ") && request.contains("\r\nHost: "), "{request}");
    assert!(request.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{request}");
    assert!(response.contains("\r\nSec-WebSocket-Accept: "), "{response}");
    assert!(response.contains("\r\nUpgrade: ") && response.contains("\r\nDate: "), "{response}");
}

#[tokio::test]
async fn preserve_keeps_what_either_side_has_sent() {
    let (request, response) = heads("preserve").await;
    assert!(request.contains("\r\nSEC-websocket-KEY: "), "{request}");
    assert!(response.contains("\r\nSEC-websocket-ACCEPT: "), "{response}");
}

#[tokio::test]
async fn lower_is_the_default() {
    let (request, response) = heads("lower").await;
    assert!(request.contains("\r\nsec-websocket-key: "), "{request}");
    assert!(response.contains("\r\nsec-websocket-accept: "), "{response}");
}

#[tokio::test]
async fn a_handshake_in_http2_reaches_the_upstream_in_title_case() {
    for case in ["title", "preserve"] {
        let upstream = ScriptedUpstream::start().await;
        let route = format!("/={}", upstream.uri());
        let gateway = Gateway::start(&["--route", &route, "--header-case", case]).await;
        let mut client = http2::Client::over(gateway.connect().await).await;
        let _pending = client.connect_websocket("/");
        let request = upstream.accept().await.head().await.text();
        assert!(request.contains("\r\nSec-WebSocket-Key: "), "{case}: {request}");
    }
}
