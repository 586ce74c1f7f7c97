//! B. Fields without a meaning in their message.

use test_support::{ACCEPT, Head, Inner, SWITCHING, ScriptedProxy, handshake, ping_pong};

async fn b7_upgrade_without_the_connection_token_is_ordinary(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let connections = [
        "",
        "Connection: keep-alive\r\n",
        "Connection: upgraded\r\n",
        "Connection: no-upgrade, \"upgrade\"\r\n",
    ];
    for connection in connections {
        let request = handshake("/").replace("Connection: Upgrade\r\n", connection);
        let mut client = proxy.connect().await;
        let received = proxy.ordinary_request(&mut client, request).await;
        match inner {
            Inner::Application => {
                assert_eq!(
                    received.values("upgrade"),
                    ["websocket"],
                    "the application gets the request unchanged"
                );
                proxy.upstream.expect_untouched().await;
            }
            Inner::Forward => {
                assert!(received.values("upgrade").is_empty() && received.values("connection").is_empty());
            }
        }
        proxy.expect_http(&mut client).await;
    }
}

fn names(head: &Head) -> Vec<String> {
    let mut names: Vec<_> = head.fields().into_iter().map(|(name, _)| name).collect();
    names.retain(|name| name != "date");
    names.sort();
    names
}

const FIELDS_OF_A_101: [&str; 3] = ["connection", "sec-websocket-accept", "upgrade"];

async fn b9_bytes_after_a_101_with_a_length_belong_to_the_tunnel(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let framings = [
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ];
    for framing in framings {
        let response = SWITCHING.replace("\r\n\r\n", &format!("\r\n{framing}\r\n"));
        let bytes = "5\r\nhello\r\n0\r\n\r\nand more";
        let (head, mut client, mut server) = proxy.respond(response + bytes).await;
        assert_eq!(head.status(), 101, "{framing}");
        assert_eq!(names(&head), FIELDS_OF_A_101, "{framing}");
        client.expect(bytes).await;
        ping_pong(&mut client, &mut server).await;
    }
}

async fn b10_hop_by_hop_fields_of_a_101_are_removed(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\nConnection: x-other\r\n\
         Upgrade: websocket\r\nX-Hop: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         TE: trailers\r\nTrailer: X-Sum\r\nProxy-Authenticate: Basic\r\nHTTP2-Settings: AAMA\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    let (head, mut client, mut server) = proxy.respond(response).await;
    assert_eq!(head.status(), 101);
    assert_eq!(names(&head), FIELDS_OF_A_101);
    assert_eq!(head.values("connection"), ["Upgrade"]);
    ping_pong(&mut client, &mut server).await;
}

on_both![
    b7_upgrade_without_the_connection_token_is_ordinary,
    b9_bytes_after_a_101_with_a_length_belong_to_the_tunnel,
    b10_hop_by_hop_fields_of_a_101_are_removed,
];
