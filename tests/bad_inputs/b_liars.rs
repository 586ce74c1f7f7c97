//! B. Upstreams that lie: a 502 and no tunnel.

use tower_upgrade_proxy::Protocols;

use crate::{
    stage::{Served, Stage},
    support::{SWITCHING, handshake, handshake_with, ping_pong},
};

async fn b4_a_101_without_upgrade_or_with_another_is_a_502(served: Served) {
    let stage = served.stage().await;
    let (mut client, mut server) = stage.tunnel().await;
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
        stage.lied_to(handshake("/"), SWITCHING.replace("Upgrade: websocket\r\n", upgrade)).await;
    }
    // A tunnel beside them does not notice.
    ping_pong(&mut client, &mut server).await;
}

async fn b5_a_websocket_101_without_the_right_accept_is_a_502(served: Served) {
    let stage = served.stage().await;
    let right = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let accepts = [
        String::new(),
        "Sec-WebSocket-Accept:\r\n".to_owned(),
        right.replace("s3p", "S3P"),
        right.replace("xOo=", "xOo"),
        right.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", crate::support::KEY),
        right.repeat(2),
        right.replace("xOo=", "xOo=, x"),
    ];
    for accept in accepts {
        stage.lied_to(handshake("/"), SWITCHING.replace(right, &accept)).await;
    }
}

/// `request`, which is no upgrade, never becomes one: the upstream does not see it, or its 101 is a 502.
async fn never_upgraded(stage: &Stage, request: &str) {
    match stage.served {
        Served::LayerAlone => {
            let mut client = stage.client().await;
            let seen = stage.ordinary(&mut client, request).await;
            assert_eq!(seen.first_line(), request.lines().next().unwrap());
            stage.upstream.expect_untouched().await;
            stage.still_http(&mut client).await;
        }
        Served::Location => stage.lied_to(request, format!("{SWITCHING}tunnel bytes")).await,
    }
}

async fn b6_a_101_that_nobody_asked_for_is_a_502(served: Served) {
    let stage = served.stage().await;
    let plain = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let requests = [
        plain.to_owned(),
        plain.replace("\r\n\r\n", "\r\nConnection: Upgrade\r\n\r\n"),
        handshake("/").replace("Upgrade: websocket\r\n", ""),
        handshake("/").replace("Upgrade: websocket", "Upgrade: foo"),
    ];
    for request in requests {
        never_upgraded(&stage, &request).await;
    }
}

async fn b8_a_handshake_with_another_method_is_none(served: Served) {
    let any = served.stage_with(|layer| layer.protocols(Protocols::any())).await;
    for stage in [served.stage().await, any] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "X-ODD"] {
            never_upgraded(&stage, &handshake("/").replacen("GET", method, 1)).await;
        }
    }
}

async fn b8_a_post_with_a_body_and_a_handshakes_fields_is_ordinary(served: Served) {
    let stage = served.stage().await;
    let request = handshake_with("/", &["Content-Length: 4"]).replacen("GET", "POST", 1) + "body";
    match served {
        Served::LayerAlone => {
            let seen = stage.ordinary(&mut stage.client().await, request).await;
            assert_eq!(seen.values("content-length"), ["4"]);
            stage.upstream.expect_untouched().await;
        }
        Served::Location => {
            let (mut client, mut server, head) = stage.asked(request).await;
            assert!(head.values("upgrade").is_empty());
            assert_eq!(server.body(&head).await, b"body");
            server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 200);
        }
    }
}

async fn b11_a_subprotocol_that_was_not_offered_is_a_502(served: Served) {
    let stage = served.stage().await;
    let offers: [&[&str]; 2] =
        [&[], &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: a, superchat"]];
    for offers in offers {
        for chosen in ["mqtt", "CHAT", "chat, superchat", "", "chat\r\nSec-WebSocket-Protocol: chat"] {
            let line = format!("\r\nSec-WebSocket-Protocol: {chosen}\r\n\r\n");
            let answer = SWITCHING.replace("\r\n\r\n", &line);
            stage.lied_to(handshake_with("/", offers), answer).await;
        }
    }
}

on_both![
    b4_a_101_without_upgrade_or_with_another_is_a_502,
    b5_a_websocket_101_without_the_right_accept_is_a_502,
    b6_a_101_that_nobody_asked_for_is_a_502,
    b8_a_handshake_with_another_method_is_none,
    b8_a_post_with_a_body_and_a_handshakes_fields_is_ordinary,
    b11_a_subprotocol_that_was_not_offered_is_a_502,
];
