//! Detection of upgrades, and other requests.

use http::Method;
use test_support::{KEY, SWITCHING, ScriptedUpstream, Wire, handshake};
use tower_upgrade_proxy::{Protocol, Protocols, UpgradeProxyLayer};

use crate::{app, app_for};

#[tokio::test]
async fn upgrade_opens_a_tunnel() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(app_for(&upstream).await).await;
    client.send(handshake("/chat")).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.first_line(), "GET /chat HTTP/1.1");
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("from the client").await;
    server.expect("from the client").await;
    server.send("from the upstream").await;
    client.expect("from the upstream").await;
}

#[tokio::test]
async fn other_requests_reach_the_inner_service_unchanged() {
    let upstream = ScriptedUpstream::start().await;
    let address = app_for(&upstream).await;
    let key = format!("sec-websocket-key: {KEY}\n");
    let cases = [
        ("GET", "1.1", "", ""),
        ("GET", "1.1", "connection: keep-alive\n", ""),
        ("GET", "1.1", "upgrade: websocket\n", ""),
        ("GET", "1.1", "connection: upgrade\n", ""),
        ("GET", "1.1", "connection: upgraded, x\nupgrade: websocket\n", ""),
        ("GET", "1.1", "connection: upgrade\nupgrade: websockets, websocket2\n", ""),
        (
            "GET",
            "1.1",
            "connection: upgrade, http2-settings\nupgrade: h2c\nhttp2-settings: AAMAAABkAAQAAP__\n",
            "",
        ),
        ("GET", "1.1", "connection: upgrade\nupgrade: H2C, foo\n", ""),
        ("GET", "1.1", "connection: upgrade\nupgrade: TLS/1.0\n", ""),
        ("POST", "1.1", "connection: upgrade\nupgrade: websocket\ncontent-length: 4\n", "body"),
        ("GET", "1.0", "connection: upgrade\nupgrade: websocket\n", ""),
    ];
    for (method, version, lines, body) in cases {
        let fields = format!("host: a.example\n{lines}{key}x-odd: \u{e9}\nx-odd: 2\n");
        let mut client = Wire::connect(address).await;
        let mut request: Vec<u8> = format!("{method} //path/%2e%2e?q=%20 HTTP/{version}\r\n").into();
        request.extend(fields.replace('\n', "\r\n").chars().map(|char| char as u8));
        request.extend(format!("\r\n{body}").bytes());
        let head = client.request(request).await;
        let received: String = client.body(&head).await.into_iter().map(char::from).collect();
        assert_eq!(received, format!("{method} //path/%2e%2e?q=%20 HTTP/{version}\n{fields}\n{body}"));
    }
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn inner_service_can_upgrade_to_protocols_that_are_not_allowed() {
    use axum::{Router, extract::ws::WebSocketUpgrade, routing::any};
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let upstream = ScriptedUpstream::start().await;
    let only_tcp = Protocols::only(Protocol::new("tcp").unwrap());
    let inner = any(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        })
    });
    let layer = UpgradeProxyLayer::new(upstream.upstream()).protocols(only_tcp);
    let address = test_support::serve(Router::new().route("/", inner).layer(layer)).await;
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/")).await.unwrap();
    socket.send(Message::text("inner")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("inner"));
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn docker_exec_sends_its_body_before_the_tunnel() {
    let upstream = ScriptedUpstream::start().await;
    let tcp = Protocol::new("tcp").unwrap().methods([Method::POST]).with_request_body();
    let layer = UpgradeProxyLayer::new(upstream.upstream()).protocols(Protocols::websocket().allow(tcp));
    let address = app(layer).await;
    for framing in [
        "Content-Length: 16\r\n\r\n{\"Detach\":false}",
        "Transfer-Encoding: chunked\r\n\r\n10\r\n{\"Detach\":false}\r\n0\r\n\r\n",
    ] {
        let mut client = Wire::connect(address).await;
        let head = "POST /exec/42/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
                    Connection: Upgrade\r\nUpgrade: tcp\r\n";
        client.send(format!("{head}{framing}")).await;
        client.send("typed early").await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.first_line(), "POST /exec/42/start HTTP/1.1");
        assert_eq!(head.values("upgrade"), ["tcp"]);
        assert_eq!(server.body(&head).await, br#"{"Detach":false}"#[..]);
        server.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n$ ").await;
        assert_eq!(client.head().await.status(), 101);
        client.expect("$ ").await;
        server.expect("typed early").await;
    }
}

#[tokio::test]
async fn kubectl_spdy_is_tunnelled_if_allowed() {
    let upstream = ScriptedUpstream::start().await;
    let protocols = Protocols::websocket().allow(Protocol::new("SPDY/3.1").unwrap());
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).protocols(protocols)).await;
    let mut client = Wire::connect(address).await;
    client
        .send(
            "POST /api/v1/namespaces/default/pods/p/exec?command=sh HTTP/1.1\r\nHost: k8s\r\n\
             Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\
             X-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: v3.channel.k8s.io\r\n\r\n",
        )
        .await;
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert_eq!(head.first_line(), "POST /api/v1/namespaces/default/pods/p/exec?command=sh HTTP/1.1");
    assert_eq!(head.values("x-stream-protocol-version"), ["v4.channel.k8s.io", "v3.channel.k8s.io"]);
    server
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
             X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert_eq!(head.values("upgrade"), ["SPDY/3.1"]);
    assert_eq!(head.values("x-stream-protocol-version"), ["v4.channel.k8s.io"]);
    client.send([0x80, 0x03, 0x00, 0x01]).await;
    assert_eq!(server.exactly(4).await, [0x80, 0x03, 0x00, 0x01]);
}

#[tokio::test]
async fn any_allows_unknown_protocols_but_never_http() {
    let upstream = ScriptedUpstream::start().await;
    let address = app(UpgradeProxyLayer::new(upstream.upstream()).protocols(Protocols::any())).await;
    let request =
        |upgrade| format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: {upgrade}\r\n\r\n");
    for refused in ["h2c", "H2c", "HTTP/2.0", "h2"] {
        let head = Wire::connect(address).await.request(request(refused)).await;
        assert_eq!(head.status(), 200, "{refused} is passed to the inner service");
    }
    upstream.expect_untouched().await;
    let mut client = Wire::connect(address).await;
    client.send(request("h2c, my-protocol/7")).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.values("upgrade"), ["my-protocol/7"]);
    server.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: my-protocol/7\r\n\r\n").await;
    assert_eq!(client.head().await.values("upgrade"), ["my-protocol/7"]);
}

#[tokio::test]
async fn malformed_handshake_is_400_and_the_connection_stays_open() {
    let upstream = ScriptedUpstream::start().await;
    let address = app_for(&upstream).await;
    let head = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    let cases = [
        format!("{head}Host: a\r\n\r\n"),
        format!("{head}Host: a\r\n{key}{key}\r\n"),
        format!("{head}Host: a\r\nSec-WebSocket-Key: short\r\n\r\n"),
        format!("{head}{key}\r\n"),
        format!("{head}{key}Host: a\r\nHost: b\r\n\r\n"),
        format!("{head}{key}Host: a/b\r\n\r\n"),
        format!("{head}{key}Host: u@a\r\n\r\n"),
        format!("{head}{key}Host: a\r\nContent-Length: 5\r\n\r\nhello"),
        format!("{head}{key}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ];
    for request in cases {
        let mut client = Wire::connect(address).await;
        let head = client.request(&request).await;
        assert_eq!(head.status(), 400, "{request}");
        let reason = String::from_utf8(client.body(&head).await).unwrap();
        assert!(reason.starts_with("400 Bad Request: "), "{reason}");
        let next = client.request("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(next.status(), 200, "{request}");
        assert!(client.body(&next).await.starts_with(b"GET /next HTTP/1.1\n"));
    }
    upstream.expect_untouched().await;
}
