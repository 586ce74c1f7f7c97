//! B. Refusals, and upstreams that lie.

use crate::{stage::Served, support::SWITCHING};

async fn b4_a_101_without_upgrade_or_with_another_is_a_502(served: Served) {
    let stage = served.stage().await;
    for upgrade in ["", "Upgrade: h2c\r\n", "Upgrade: websocket, h2c\r\n", "Upgrade: h2c, websocket\r\n"] {
        let answer = SWITCHING.replace("Upgrade: websocket\r\n", upgrade);
        let (head, mut client, mut server) = stage.answered(answer).await;
        assert_eq!(head.status(), 502, "{upgrade}");
        server.expect_end().await;
        client.body(&head).await;
        // Still HTTP.
        let seen = stage.ordinary(&mut client, "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        assert_eq!(seen.first_line(), "GET /next HTTP/1.1");
    }
}

on_both![b4_a_101_without_upgrade_or_with_another_is_a_502];
