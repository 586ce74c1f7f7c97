//! B. Invalid responses of the upstream: a 502 and no tunnel.

use test_support::{Inner, KEY, SWITCHING, ScriptedProxy, handshake, handshake_with, ping_pong};
use tower_upgrade_proxy::Protocols;

async fn b4_missing_or_wrong_upgrade_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let (mut client, mut server) = proxy.tunnel().await;
    let upgrades = [
        "",
        "Upgrade:\r\n",
        "Upgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: h2c, websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: websocket\r\n",
        "Upgrade: websockets\r\n",
        "Upgrade: websocket/13\r\n",
        "Upgrade: \"websocket\"\r\n",
    ];
    for upgrade in upgrades {
        proxy.expect_502(handshake("/"), SWITCHING.replace("Upgrade: websocket\r\n", upgrade)).await;
    }
    // An open tunnel is not affected.
    ping_pong(&mut client, &mut server).await;
}

async fn b5_missing_or_wrong_accept_value_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let valid = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let accepts = [
        String::new(),
        "Sec-WebSocket-Accept:\r\n".to_owned(),
        valid.replace("s3p", "S3P"),
        valid.replace("xOo=", "xOo"),
        valid.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", KEY),
        valid.repeat(2),
        valid.replace("xOo=", "xOo=, x"),
    ];
    for accept in accepts {
        proxy.expect_502(handshake("/"), SWITCHING.replace(valid, &accept)).await;
    }
}

/// Requires that `request` is not upgraded: it does not reach the upstream, or a 101 becomes a 502.
async fn expect_no_upgrade(proxy: &ScriptedProxy, request: &str) {
    match proxy.inner {
        Inner::Application => {
            let mut client = proxy.connect().await;
            let received = proxy.ordinary_request(&mut client, request).await;
            assert_eq!(received.first_line(), request.lines().next().unwrap());
            proxy.upstream.expect_untouched().await;
            proxy.expect_http(&mut client).await;
        }
        Inner::Forward => proxy.expect_502(request, format!("{SWITCHING}tunnel bytes")).await,
    }
}

async fn b6_unrequested_101_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let plain = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let requests = [
        plain.to_owned(),
        plain.replace("\r\n\r\n", "\r\nConnection: Upgrade\r\n\r\n"),
        handshake("/").replace("Upgrade: websocket\r\n", ""),
        handshake("/").replace("Upgrade: websocket", "Upgrade: foo"),
    ];
    for request in requests {
        expect_no_upgrade(&proxy, &request).await;
    }
}

async fn b8_other_methods_are_not_upgraded(inner: Inner) {
    let any = ScriptedProxy::start_with(inner, |layer| layer.protocols(Protocols::any())).await;
    for proxy in [ScriptedProxy::start(inner).await, any] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "X-ODD"] {
            expect_no_upgrade(&proxy, &handshake("/").replacen("GET", method, 1)).await;
        }
    }
}

async fn b8_post_with_handshake_fields_and_a_body_is_ordinary(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let request = handshake_with("/", &["Content-Length: 4"]).replacen("GET", "POST", 1) + "body";
    match inner {
        Inner::Application => {
            let received = proxy.ordinary_request(&mut proxy.connect().await, request).await;
            assert_eq!(received.values("content-length"), ["4"]);
            proxy.upstream.expect_untouched().await;
        }
        Inner::Forward => {
            let (mut client, mut server, head) = proxy.request(request).await;
            assert!(head.values("upgrade").is_empty());
            assert_eq!(server.body(&head).await, b"body");
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 200);
        }
    }
}

async fn b11_subprotocol_that_was_not_offered_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let offers: [&[&str]; 2] =
        [&[], &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: a, superchat"]];
    for offers in offers {
        for chosen in ["mqtt", "CHAT", "chat, superchat", "", "chat\r\nSec-WebSocket-Protocol: chat"] {
            let line = format!("\r\nSec-WebSocket-Protocol: {chosen}\r\n\r\n");
            let response = SWITCHING.replace("\r\n\r\n", &line);
            proxy.expect_502(handshake_with("/", offers), response).await;
        }
    }
}

on_both![
    b4_missing_or_wrong_upgrade_is_502,
    b5_missing_or_wrong_accept_value_is_502,
    b6_unrequested_101_is_502,
    b8_other_methods_are_not_upgraded,
    b8_post_with_handshake_fields_and_a_body_is_ordinary,
    b11_subprotocol_that_was_not_offered_is_502,
];
