//! B. Fields that do not belong where they are.

use crate::{
    stage::Served,
    support::{ACCEPT, Head, SWITCHING, handshake, ping_pong},
};

async fn b7_upgrade_without_the_connection_token_is_no_upgrade(served: Served) {
    let stage = served.stage().await;
    let connections = [
        "",
        "Connection: keep-alive\r\n",
        "Connection: upgraded\r\n",
        "Connection: no-upgrade, \"upgrade\"\r\n",
    ];
    for connection in connections {
        let request = handshake("/").replace("Connection: Upgrade\r\n", connection);
        let mut client = stage.client().await;
        let seen = stage.ordinary(&mut client, request).await;
        match served {
            Served::LayerAlone => {
                assert_eq!(seen.values("upgrade"), ["websocket"], "the application gets all of it");
                stage.upstream.expect_untouched().await;
            }
            Served::Location => {
                assert!(seen.values("upgrade").is_empty() && seen.values("connection").is_empty());
            }
        }
        stage.still_http(&mut client).await;
    }
}

fn names(head: &Head) -> Vec<String> {
    let mut names: Vec<_> = head.fields().into_iter().map(|(name, _)| name).collect();
    names.retain(|name| name != "date");
    names.sort();
    names
}

const OF_A_101: [&str; 3] = ["connection", "sec-websocket-accept", "upgrade"];

async fn b9_what_follows_a_101_with_a_length_is_the_tunnels(served: Served) {
    let stage = served.stage().await;
    let framings = [
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ];
    for framing in framings {
        let answer = SWITCHING.replace("\r\n\r\n", &format!("\r\n{framing}\r\n"));
        let bytes = "5\r\nhello\r\n0\r\n\r\nand more";
        let (head, mut client, mut server) = stage.answered(answer + bytes).await;
        assert_eq!(head.status(), 101, "{framing}");
        assert_eq!(names(&head), OF_A_101, "{framing}");
        client.expect(bytes).await;
        ping_pong(&mut client, &mut server).await;
    }
}

async fn b10_fields_of_the_upstreams_connection_are_removed_from_a_101(served: Served) {
    let stage = served.stage().await;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Hop\r\nConnection: x-other\r\n\
         Upgrade: websocket\r\nX-Hop: 1\r\nX-Other: 2\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         TE: trailers\r\nTrailer: X-Sum\r\nProxy-Authenticate: Basic\r\nHTTP2-Settings: AAMA\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    let (head, mut client, mut server) = stage.answered(answer).await;
    assert_eq!(head.status(), 101);
    assert_eq!(names(&head), OF_A_101);
    assert_eq!(head.values("connection"), ["Upgrade"]);
    ping_pong(&mut client, &mut server).await;
}

on_both![
    b7_upgrade_without_the_connection_token_is_no_upgrade,
    b9_what_follows_a_101_with_a_length_is_the_tunnels,
    b10_fields_of_the_upstreams_connection_are_removed_from_a_101,
];
