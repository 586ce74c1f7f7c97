//! C. Protocols that are not allowed.

use axum::Router;
use hyper::server::conn::http1;
use test_support::{Head, Inner, KEY, ScriptedProxy, handshake, handshake_with, serve::serve_http1_with};
use tower_upgrade_proxy::Protocols;

fn upgrade_request(connection: &str, upgrade: &str, more: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: a.example\r\n{connection}{upgrade}{more}Sec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// Requires that `request` is treated as an ordinary one: passed to the application unchanged, or forwarded
/// without the fields of an upgrade.
async fn expect_ordinary(proxy: &ScriptedProxy, request: &str) -> Head {
    let mut client = proxy.connect().await;
    let received = proxy.ordinary_request(&mut client, request).await;
    match proxy.inner {
        Inner::Application => {
            let sent = Head { raw: request.as_bytes().to_vec() };
            assert_eq!(received.fields(), sent.fields());
            proxy.upstream.expect_untouched().await;
        }
        Inner::Forward => {
            for name in ["upgrade", "connection", "http2-settings"] {
                assert!(received.values(name).is_empty(), "{request}{}", received.text());
            }
        }
    }
    proxy.expect_http(&mut client).await;
    received
}

async fn c1_h2c_is_never_sent_upstream(inner: Inner) {
    let any = ScriptedProxy::start_with(inner, |layer| layer.protocols(Protocols::any())).await;
    let upgrades = [
        "Upgrade: h2c\r\n",
        "UPGRADE: H2C\r\n",
        "Upgrade: h2C, H2c\r\n",
        "Upgrade: h2c\r\nUpgrade: h2c\r\n",
        "Upgrade: h2\r\n",
        "Upgrade: h3\r\n",
        "Upgrade: HTTP/2.0, h2c\r\n",
        "Upgrade: h2c/1\r\n",
    ];
    for proxy in [ScriptedProxy::start(inner).await, any] {
        for upgrade in upgrades {
            for connection in ["Connection: Upgrade, HTTP2-Settings\r\n", "Connection: upgrade\r\n", ""] {
                for settings in ["HTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""] {
                    expect_ordinary(&proxy, &upgrade_request(connection, upgrade, settings)).await;
                }
            }
        }
    }
    let upgrades = "Upgrade: foo, h2c\r\nUpgrade: h2c, bar/1\r\n";
    expect_ordinary(
        &ScriptedProxy::start(inner).await,
        &upgrade_request("Connection: Upgrade\r\n", upgrades, ""),
    )
    .await;
}

async fn c1_http2_settings_are_removed(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for connection in ["Connection: HTTP2-Settings", "Connection: keep-alive"] {
        let lines = [connection, "HTTP2-Settings: AAMAAABkAAQAAP__", "http2-settings: AAMA"];
        let (_, _, head) = proxy.request(handshake_with("/", &lines)).await;
        assert!(head.values("http2-settings").is_empty());
        assert_eq!(head.values("connection"), ["Upgrade"]);
    }
}

async fn c2_first_allowed_token_is_sent_alone(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let upgrades = [
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: h2c, websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket, websocket\r\n",
        "Upgrade: foo/1, , WebSocket, TLS/1.0\r\n",
    ];
    for upgrade in upgrades {
        let request =
            upgrade_request("Connection: Upgrade, HTTP2-Settings\r\n", upgrade, "HTTP2-Settings: AAMA\r\n");
        let (_, _, head) = proxy.request(request).await;
        assert_eq!(head.values("upgrade"), ["websocket"], "{upgrade}");
        assert_eq!(head.values("connection"), ["Upgrade"], "{upgrade}");
        assert!(head.values("http2-settings").is_empty(), "{upgrade}");
    }
    for upgrade in
        ["Upgrade: h2c\r\nUpgrade: foo\r\n", "Upgrade: websocket/13, xwebsocket\r\n", "Upgrade:\r\n"]
    {
        expect_ordinary(&proxy, &upgrade_request("Connection: Upgrade\r\n", upgrade, "")).await;
    }
}

async fn c3_unlisted_protocols_are_ordinary(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for upgrade in ["TLS/1.0", "foo", "TLS/1.2, foo", "SPDY/3.1", "tcp", "connect-udp", "IRC/6.9, RTA/x11"] {
        let upgrade = format!("Upgrade: {upgrade}\r\n");
        expect_ordinary(&proxy, &upgrade_request("Connection: Upgrade\r\n", &upgrade, "")).await;
    }
}

async fn c4_http2_preface_is_not_forwarded(inner: Inner) {
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let http1_only = async |app: Router| serve_http1_with(http1::Builder::new(), app).await;
    let proxy = ScriptedProxy::start_on(inner, |layer| layer, http1_only).await;
    let mut client = proxy.connect().await;
    client.send(PREFACE).await;
    client.expect_end().await;
    // A server of both versions accepts it as HTTP/2.
    let both = ScriptedProxy::start(inner).await;
    let mut client = both.connect().await;
    client.send(PREFACE).await;
    assert_eq!(client.exactly(5).await[3], 4, "SETTINGS");
    for proxy in [proxy, both] {
        proxy.upstream.expect_untouched().await;
    }
}

async fn c4_method_pri_is_not_forwarded_as_a_preface(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = proxy.connect().await;
    let head = client.request("PRI * HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(head.status(), if inner == Inner::Forward { 400 } else { 200 });
    proxy.upstream.expect_untouched().await;
}

async fn c4_upgrade_in_http_1_0_is_ignored(inner: Inner) {
    let any = ScriptedProxy::start_with(inner, |layer| layer.protocols(Protocols::any())).await;
    for proxy in [ScriptedProxy::start(inner).await, any] {
        for upgrade in ["websocket", "h2c", "foo"] {
            let request = handshake("/").replace("HTTP/1.1", "HTTP/1.0").replace("websocket", upgrade);
            let mut client = proxy.connect().await;
            let received = proxy.ordinary_request(&mut client, request).await;
            match inner {
                Inner::Application => {
                    assert_eq!(received.first_line(), "GET / HTTP/1.0");
                    proxy.upstream.expect_untouched().await;
                }
                Inner::Forward => {
                    assert_eq!(received.first_line(), "GET / HTTP/1.1");
                    assert!(
                        received.values("upgrade").is_empty() && received.values("connection").is_empty()
                    );
                }
            }
        }
    }
}

on_both![
    c1_h2c_is_never_sent_upstream,
    c1_http2_settings_are_removed,
    c2_first_allowed_token_is_sent_alone,
    c3_unlisted_protocols_are_ordinary,
    c4_http2_preface_is_not_forwarded,
    c4_method_pri_is_not_forwarded_as_a_preface,
    c4_upgrade_in_http_1_0_is_ignored,
];
