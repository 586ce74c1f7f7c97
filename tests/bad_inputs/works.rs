//! A. Valid upgrades.

use test_support::{
    ACCEPT, Inner, KEY, SWITCHING, ScriptedProxy, handshake, handshake_with, ping_pong, switching_protocols,
};

async fn a1_early_client_bytes_wait_for_the_101(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    // More than a read buffer, with all byte values.
    let early: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let mut client = proxy.connect().await;
    let request = [handshake("/").into_bytes(), early.clone()].concat();
    let upstream = async {
        let mut server = proxy.upstream.accept().await;
        server.head().await;
        assert!(server.buffered().is_empty());
        server.send(SWITCHING).await;
        let received = server.exactly(early.len()).await;
        assert!(received == early);
        server
    };
    let ((), mut server) = tokio::join!(client.send(request), upstream);
    assert_eq!(client.head().await.status(), 101);
    ping_pong(&mut client, &mut server).await;
}

async fn a2_upstream_bytes_after_the_101_are_delivered(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let early: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let (head, mut client, mut server) =
        proxy.respond([SWITCHING.as_bytes(), early.as_slice()].concat()).await;
    assert_eq!(head.status(), 101);
    assert!(client.exactly(early.len()).await == early);
    ping_pong(&mut client, &mut server).await;
}

async fn a3_tokens_match_in_any_case_and_on_any_line(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let lines = [
        "CONNECTION: keep-alive, uPGRADE\r\nupgrade: WebSocket\r\n",
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: \r\nconnection: ,\tupgrade ,\r\nUPGRADE: WEBSOCKET\r\n",
    ];
    for lines in lines {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}Sec-WebSocket-Key: {KEY}\r\n\r\n");
        let (mut client, mut server, head) = proxy.request(request).await;
        assert_eq!(head.values("upgrade"), ["websocket"], "{lines}");
        assert_eq!(head.values("connection"), ["Upgrade"], "{lines}");
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101, "{lines}");
        ping_pong(&mut client, &mut server).await;
    }
}

async fn a4_interim_responses_before_the_101_are_skipped(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for interim in ["103 Early Hints\r\nLink: </style.css>", "100 Continue", "102 Processing"] {
        let response = format!("HTTP/1.1 {interim}\r\n\r\n{SWITCHING}");
        let (head, mut client, mut server) = proxy.respond(response).await;
        assert_eq!(head.status(), 101, "{interim}");
        assert!(head.values("link").is_empty());
        ping_pong(&mut client, &mut server).await;
    }
}

async fn a5_subprotocol_extensions_and_cookies_are_unchanged(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let offers = ["Sec-WebSocket-Protocol: chat, v2.Chat", "Sec-WebSocket-Protocol: mqtt"];
    let extension = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-a";
    let request = handshake_with("/", &[offers[0], offers[1], extension]);
    let (mut client, mut server, request_head) = proxy.request(request).await;
    assert_eq!(request_head.values("sec-websocket-protocol"), ["chat, v2.Chat", "mqtt"]);
    assert_eq!(
        request_head.values("sec-websocket-extensions"),
        ["permessage-deflate; client_max_window_bits, x-a"]
    );
    let lines = "Sec-WebSocket-Protocol: v2.Chat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n\
        Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\n\r\n";
    server.send(SWITCHING.replace("\r\n\r\n", "\r\n") + lines).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.values("sec-websocket-accept"), [ACCEPT]);
    assert_eq!(head.values("sec-websocket-protocol"), ["v2.Chat"]);
    assert_eq!(head.values("sec-websocket-extensions"), ["permessage-deflate; server_no_context_takeover"]);
    assert_eq!(head.values("set-cookie"), ["a=1; Path=/", "b=2"]);
    ping_pong(&mut client, &mut server).await;
}

async fn a6_missing_connection_field_of_a_101_is_added(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for connection in ["", "Connection: keep-alive\r\n"] {
        let response = SWITCHING.replace("Connection: Upgrade\r\n", connection);
        let (head, mut client, mut server) = proxy.respond(response).await;
        assert_eq!(head.status(), 101);
        assert_eq!(head.values("connection"), ["Upgrade"]);
        assert_eq!(head.values("upgrade"), ["websocket"]);
        ping_pong(&mut client, &mut server).await;
    }
}

/// The first key is the example of [RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1).
async fn a8_key_of_16_bytes_in_any_encoding_is_accepted(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for (key, accept) in
        [("AQIDBAUGBwgJCgsMDQ4PEC==", "OfS0wDaT5NoxF2gqm7Zj2YtetzM="), ("AQIDBAUGBwgJCgsMDQ4PEA==", "")]
    {
        let (mut client, mut server, head) = proxy.request(handshake("/").replace(KEY, key)).await;
        assert_eq!(head.values("sec-websocket-key"), [key]);
        server.send(switching_protocols(&head, "")).await;
        let head = client.head().await;
        assert_eq!(head.status(), 101, "{key}");
        assert!(accept.is_empty() || head.values("sec-websocket-accept") == [accept], "{}", head.text());
        ping_pong(&mut client, &mut server).await;
    }
}

async fn a8_key_of_another_length_or_alphabet_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for key in [
        "AQIDBAUGBwgJCgsMDQ4PEC",
        "AQIDBAUGBwgJCgsMDQ4PEC=",
        "AQIDBAUGBwgJCgsMDQ4P",
        "AQIDBAUGBwgJCgsMDQ4PEBE=",
        "AQIDBAUGBwgJCgsMDQ4PE_==",
        "AQIDBAUG BwgJCgsMDQ4PEC==",
    ] {
        proxy.expect_refusal(handshake("/").replace(KEY, key), 400).await;
    }
}

on_both![
    a1_early_client_bytes_wait_for_the_101,
    a2_upstream_bytes_after_the_101_are_delivered,
    a3_tokens_match_in_any_case_and_on_any_line,
    a4_interim_responses_before_the_101_are_skipped,
    a5_subprotocol_extensions_and_cookies_are_unchanged,
    a6_missing_connection_field_of_a_101_is_added,
    a8_key_of_16_bytes_in_any_encoding_is_accepted,
    a8_key_of_another_length_or_alphabet_is_400,
];
