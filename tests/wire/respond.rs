//! Responses to the client after the upstream's response.

use std::time::Duration;

use test_support::{ACCEPT, SWITCHING, ScriptedUpstream, Wire, bounded, handshake, handshake_with};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{app, app_for};

#[tokio::test]
async fn a_verified_101_keeps_the_upstreams_fields() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake_with("/", &["Sec-WebSocket-Protocol: chat, superchat"])).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server
        .send(format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
             HTTP/1.1 101 Switching Protocols\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Connection: X-Hop, upgrade\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\
             UPGRADE: WebSocket\r\nSec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: superchat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\nSet-Cookie: a=1\r\nSet-Cookie: b=caf\u{e9}\r\n\
             Content-Length: 5\r\nServer: up\r\n\r\nbytes of the tunnel"
        ))
        .await;
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 101 Switching Protocols");
    let mut fields = head.fields();
    fields.sort();
    let expected = [
        ("connection", "Upgrade"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("sec-websocket-accept", ACCEPT),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-protocol", "superchat"),
        ("server", "up"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=caf\u{c3}\u{a9}"),
        ("upgrade", "websocket"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    client.expect("bytes of the tunnel").await;
}

#[tokio::test]
async fn a_refusal_is_relayed_whole_and_the_next_request_is_served() {
    let upstream = ScriptedUpstream::start().await;
    let address = app_for(&upstream).await;
    let large = "0123456789abcdef".repeat(300_000);
    let chunked = large
        .as_bytes()
        .chunks(50_000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
        .collect::<String>();
    let cases = [
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno", "no"),
        ("404 Not Found", "Content-Length: 0\r\n\r\n", ""),
        (
            "426 Upgrade Required",
            "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 1\r\n\r\nx",
            "x",
        ),
        ("302 Found", "Location: /login\r\nContent-Length: 0\r\n\r\n", ""),
        (
            "200 Fine By Me",
            "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\nyes",
            "yes",
        ),
        (
            "500 Internal Server Error",
            &format!("Transfer-Encoding: chunked\r\n\r\n{chunked}0\r\n\r\n"),
            &large,
        ),
        ("204 No Content", "\r\n", ""),
    ];
    for (status, rest, body) in cases {
        let mut client = Wire::connect(address).await;
        client.send(handshake("/private")).await;
        let mut server = upstream.accept().await;
        server.head().await;
        let response =
            format!("HTTP/1.1 {status}\r\nX-Up: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n{rest}");
        let receive = async {
            let head = client.head().await;
            let body = client.body(&head).await;
            (head, body)
        };
        let ((head, received), ()) = tokio::join!(receive, server.send(response));
        assert_eq!(head.first_line(), format!("HTTP/1.1 {status}"));
        assert_eq!(head.values("set-cookie"), ["a=1", "b=2"]);
        assert!(received == body.as_bytes(), "{status}");
        match &status[..3] {
            "426" => {
                assert_eq!(
                    (head.values("upgrade"), head.values("connection")),
                    (vec!["websocket".into()], vec!["Upgrade".into()])
                );
                assert_eq!(head.values("sec-websocket-version"), ["13"]);
            }
            "401" => assert_eq!(head.values("www-authenticate"), ["Basic realm=\"x\""]),
            "302" => assert_eq!(head.values("location"), ["/login"]),
            _ => {
                assert!(
                    head.values("upgrade").is_empty() && head.values("connection").is_empty(),
                    "{status}"
                );
            }
        }
        // No tunnel: the next request is served by the proxy, and the upstream is closed.
        let next = client.request("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(next.status(), 200, "{status}");
        assert!(client.body(&next).await.starts_with(b"GET /next "), "{status}");
        server.expect_end().await;
    }
}

#[tokio::test]
async fn a_refusal_in_http_1_0_is_relayed_in_the_clients_version() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.0 403 Forbidden\r\n\r\nuntil the end").await;
    drop(server);
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 403 Forbidden");
    assert_eq!(client.body(&head).await, b"until the end");
}

#[tokio::test]
async fn a_second_handshake_on_the_same_connection_can_succeed() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake("/first")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 401);
    client.send(handshake("/second")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("through").await;
    server.expect("through").await;
}

#[tokio::test]
async fn the_body_of_a_refusal_is_streamed() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nfirst").await;
    assert_eq!(client.head().await.status(), 403);
    client.expect("first").await;
    server.send("later").await;
    client.expect("later").await;
}

#[tokio::test]
async fn an_incomplete_refusal_is_not_relayed_as_complete() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    assert_eq!(client.head().await.status(), 403);
    client.expect("5\r\nfirst\r\n").await;
    drop(server);
    // The connection ends without the last chunk.
    client.expect_end().await;
}

#[tokio::test]
async fn a_stalled_refusal_is_aborted_at_the_body_timeout() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).body_timeout(Duration::from_millis(100));
    let mut client = Wire::connect(app(layer).await).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nsome").await;
    assert_eq!(client.head().await.status(), 403);
    client.expect("some").await;
    client.expect_end().await;
    server.expect_end().await;
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_response_releases_the_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let address = app_for(&upstream).await;
    let mut client = Wire::connect(address).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    drop(client);
    server.expect_end().await;
}

#[tokio::test]
async fn a_client_that_disconnects_during_a_refusal_releases_the_upstream() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000\r\n\r\nsome").await;
    assert_eq!(client.head().await.status(), 403);
    drop(client);
    bounded("the upstream to be released", async { server.expect_end().await }).await;
}

#[tokio::test]
async fn client_bytes_are_not_sent_to_the_upstream_before_the_101() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake("/") + "early").await;
    let mut server = upstream.accept().await;
    server.head().await;
    client.send(" and later").await;
    let early = tokio::time::timeout(Duration::from_millis(200), server.exactly(1)).await;
    assert!(early.is_err(), "the upstream got {early:?} before its 101");
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    server.expect("early and later").await;
}
