//! C. Protocols that are not on the list.

use axum::Router;
use hyper::server::conn::http1;
use tower_upgrade_proxy::Protocols;

use crate::{
    stage::{Served, Stage},
    support::{Head, KEY, handshake, handshake_with, serve_http1_with},
};

fn asking(connection: &str, upgrade: &str, more: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: a.example\r\n{connection}{upgrade}{more}Sec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// `request` is an ordinary one: the application's as it came, or forwarded without what asks for an upgrade.
async fn expect_ordinary(stage: &Stage, request: &str) -> Head {
    let mut client = stage.client().await;
    let seen = stage.ordinary(&mut client, request).await;
    match stage.served {
        Served::LayerAlone => {
            let sent = Head { raw: request.as_bytes().to_vec() };
            assert_eq!(seen.fields(), sent.fields());
            stage.upstream.expect_untouched().await;
        }
        Served::Location => {
            for name in ["upgrade", "connection", "http2-settings"] {
                assert!(seen.values(name).is_empty(), "{request}{}", seen.text());
            }
        }
    }
    stage.still_http(&mut client).await;
    seen
}

async fn c1_h2c_is_never_asked_for_in_any_combination(served: Served) {
    let any = served.stage_with(|layer| layer.protocols(Protocols::any())).await;
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
    for stage in [served.stage().await, any] {
        for upgrade in upgrades {
            for connection in ["Connection: Upgrade, HTTP2-Settings\r\n", "Connection: upgrade\r\n", ""] {
                for settings in ["HTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""] {
                    expect_ordinary(&stage, &asking(connection, upgrade, settings)).await;
                }
            }
        }
    }
    let listed = "Upgrade: foo, h2c\r\nUpgrade: h2c, bar/1\r\n";
    expect_ordinary(&served.stage().await, &asking("Connection: Upgrade\r\n", listed, "")).await;
}

async fn c1_http2_settings_stay_behind(served: Served) {
    let stage = served.stage().await;
    for connection in ["Connection: HTTP2-Settings", "Connection: keep-alive"] {
        let lines = [connection, "HTTP2-Settings: AAMAAABkAAQAAP__", "http2-settings: AAMA"];
        let (_, _, head) = stage.asked(handshake_with("/", &lines)).await;
        assert!(head.values("http2-settings").is_empty());
        assert_eq!(head.values("connection"), ["Upgrade"]);
    }
}

async fn c2_one_allowed_token_is_asked_for_or_none(served: Served) {
    let stage = served.stage().await;
    let upgrades = [
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: h2c, websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket, websocket\r\n",
        "Upgrade: foo/1, , WebSocket, TLS/1.0\r\n",
    ];
    for upgrade in upgrades {
        let request = asking("Connection: Upgrade, HTTP2-Settings\r\n", upgrade, "HTTP2-Settings: AAMA\r\n");
        let (_, _, head) = stage.asked(request).await;
        assert_eq!(head.values("upgrade"), ["websocket"], "{upgrade}");
        assert_eq!(head.values("connection"), ["Upgrade"], "{upgrade}");
        assert!(head.values("http2-settings").is_empty(), "{upgrade}");
    }
    for upgrade in
        ["Upgrade: h2c\r\nUpgrade: foo\r\n", "Upgrade: websocket/13, xwebsocket\r\n", "Upgrade:\r\n"]
    {
        expect_ordinary(&stage, &asking("Connection: Upgrade\r\n", upgrade, "")).await;
    }
}

async fn c3_protocols_that_are_not_listed_are_ordinary(served: Served) {
    let stage = served.stage().await;
    for upgrade in ["TLS/1.0", "foo", "TLS/1.2, foo", "SPDY/3.1", "tcp", "connect-udp", "IRC/6.9, RTA/x11"] {
        let upgrade = format!("Upgrade: {upgrade}\r\n");
        expect_ordinary(&stage, &asking("Connection: Upgrade\r\n", &upgrade, "")).await;
    }
}

async fn c4_the_preface_of_http2_is_not_forwarded(served: Served) {
    const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let http1_only = async |app: Router| serve_http1_with(http1::Builder::new(), app).await;
    let stage = served.stage_on(|layer| layer, http1_only).await;
    let mut client = stage.client().await;
    client.send(PREFACE).await;
    client.expect_end().await;
    // A server of both versions takes it for what it is.
    let both = served.stage().await;
    let mut client = both.client().await;
    client.send(PREFACE).await;
    assert_eq!(client.exactly(5).await[3], 4, "SETTINGS");
    for stage in [stage, both] {
        stage.upstream.expect_untouched().await;
    }
}

async fn c4_a_method_called_pri_reaches_nobody_as_a_preface(served: Served) {
    let stage = served.stage().await;
    let mut client = stage.client().await;
    let head = client.ask("PRI * HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(head.status(), if served == Served::Location { 400 } else { 200 });
    stage.upstream.expect_untouched().await;
}

async fn c4_upgrade_in_http_1_0_is_ignored(served: Served) {
    let any = served.stage_with(|layer| layer.protocols(Protocols::any())).await;
    for stage in [served.stage().await, any] {
        for upgrade in ["websocket", "h2c", "foo"] {
            let request = handshake("/").replace("HTTP/1.1", "HTTP/1.0").replace("websocket", upgrade);
            let mut client = stage.client().await;
            let seen = stage.ordinary(&mut client, request).await;
            match served {
                Served::LayerAlone => {
                    assert_eq!(seen.first_line(), "GET / HTTP/1.0");
                    stage.upstream.expect_untouched().await;
                }
                Served::Location => {
                    assert_eq!(seen.first_line(), "GET / HTTP/1.1");
                    assert!(seen.values("upgrade").is_empty() && seen.values("connection").is_empty());
                }
            }
        }
    }
}

on_both![
    c1_h2c_is_never_asked_for_in_any_combination,
    c1_http2_settings_stay_behind,
    c2_one_allowed_token_is_asked_for_or_none,
    c3_protocols_that_are_not_listed_are_ordinary,
    c4_the_preface_of_http2_is_not_forwarded,
    c4_a_method_called_pri_reaches_nobody_as_a_preface,
    c4_upgrade_in_http_1_0_is_ignored,
];
