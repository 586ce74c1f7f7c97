//! Summary and handle of a tunnel.

use test_support::websocket::frame::{CLOSE, PING, PONG, TEXT, frame};
use tokio::io::{AsyncWriteExt, duplex};
use tower_upgrade_proxy::{KeepAlive, Side, Tunnel, TunnelEnd, TunnelState};

use super::{
    Pair,
    clock::{advance, frozen, settle},
    config, each_way, seconds,
};

#[tokio::test(start_paused = true)]
async fn the_summary_has_the_messages_bytes_and_codes_of_the_sides() {
    let keep_alive = KeepAlive::new().client(seconds(20)).upstream(seconds(20));
    each_way(config().keep_alive(keep_alive), async |mut pair| {
        let mut sent = 0;
        for (first, payload) in
            [(TEXT & 0x7f, "a"), (0x00, "b"), (PING, "c"), (0x80, "d"), (TEXT, "e"), (PONG, "f")]
        {
            sent += pair.near.frame(first, payload.as_bytes()).len() as u64;
            pair.near.send_frame(first, payload.as_bytes()).await;
            pair.far.expect(first, payload.as_bytes()).await;
        }
        pair.far.send_frame(PONG, b"c").await;
        pair.near.expect(PONG, b"c").await;
        advance(seconds(20)).await;
        for peer in [&mut pair.near, &mut pair.far] {
            let ping = peer.next().await.unwrap();
            peer.send_frame(PONG, &ping.payload).await;
        }
        settle().await;
        pair.near.send_frame(CLOSE, b"").await;
        sent += pair.near.frame(CLOSE, b"").len() as u64;
        pair.far.expect(CLOSE, b"").await;
        pair.far.close(4321).await;
        pair.near.expect_close(4321).await;
        pair.far.finish().await;
        pair.near.expect_end().await;
        pair.near.finish().await;
        let near = pair.near.side;
        let ended = pair.end().await;
        assert!(matches!(ended.summary.end(), TunnelEnd::Closed { first } if *first == near), "{ended:?}");
        assert_eq!((ended.codes(), ended.sent_by_near()), ((1005, 4321), (2, sent)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn undelivered_bytes_are_not_counted() {
    let (mut client, client_end) = duplex(1000);
    let (upstream, upstream_end) = duplex(10);
    let tunnel = tokio::spawn(Tunnel::new(client_end, upstream_end, config()).websocket());
    client.write_all(&frame(Side::Client, TEXT, &[b'x'; 100])).await.unwrap();
    settle().await;
    drop((client, upstream));
    let summary = frozen(tunnel).await.unwrap();
    assert_eq!((summary.bytes(Side::Client), summary.bytes(Side::Upstream)), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn another_protocol_has_no_close_codes_and_no_messages() {
    let (mut client, client_end) = duplex(100);
    let (upstream, upstream_end) = duplex(100);
    let tunnel = tokio::spawn(Tunnel::new(client_end, upstream_end, config()));
    client.write_all(b"\x81\x80abcd\x88\x80abcd").await.unwrap();
    settle().await;
    drop((client, upstream));
    let summary = frozen(tunnel).await.unwrap();
    let codes = [Side::Client, Side::Upstream].map(|side| summary.close_code(side));
    assert_eq!((codes, summary.messages(Side::Client)), ([None, None], 0));
    assert_eq!(summary.bytes(Side::Client), 12);
}

#[tokio::test(start_paused = true)]
async fn a_handle_reports_the_state_of_a_tunnel_until_its_end() {
    let (_client, client_end) = duplex(100);
    let (_upstream, upstream_end) = duplex(100);
    let mut tunnel = Tunnel::new(client_end, upstream_end, config());
    assert_eq!(tunnel.handle().state(), TunnelState::Open);

    each_way(config().idle_timeout(seconds(60)), async |mut pair| {
        settle().await;
        assert_eq!(pair.handle.state(), TunnelState::Open);
        let (near, handle) = (pair.near.side, pair.handle.clone());
        let counts = || (handle.bytes(near), handle.messages(near));
        let (bytes, messages) = counts();
        advance(seconds(7)).await;
        let text = pair.near.frame(TEXT, b"hello");
        pair.near.send(&text[..4]).await;
        settle().await;
        assert_eq!(counts().1, messages);
        pair.near.send(&text[4..]).await;
        pair.far.expect(TEXT, b"hello").await;
        assert_eq!(counts(), (bytes + text.len() as u64, messages + 1));
        advance(seconds(5)).await;
        assert_eq!((handle.age(), handle.idle()), (seconds(12), seconds(5)));
        pair.near.close(1000).await;
        pair.far.expect_close(1000).await;
        assert_eq!(handle.state(), TunnelState::Open);
        pair.near.finish().await;
        pair.far.expect_end().await;
        assert_eq!(handle.state(), TunnelState::HalfClosed);
        advance(seconds(60)).await;
        assert_eq!(handle.state(), TunnelState::Closing);
        let Pair { far, tunnel, .. } = &mut pair;
        far.close(1000).await;
        frozen(tunnel).await.unwrap();
        assert_eq!(handle.state(), TunnelState::Ended);
    })
    .await;
}
