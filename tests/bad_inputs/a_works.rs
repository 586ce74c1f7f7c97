//! A. What must work.

use crate::{
    stage::Served,
    support::{SWITCHING, handshake},
};

async fn a1_client_bytes_behind_the_head_wait_for_the_101(served: Served) {
    let stage = served.stage().await;
    let (mut client, mut server, _) = stage.asked(handshake("/") + "first").await;
    assert!(server.buffered().is_empty());
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    server.expect("first").await;
    client.send("second").await;
    server.expect("second").await;
}

on_both![a1_client_bytes_behind_the_head_wait_for_the_101];
