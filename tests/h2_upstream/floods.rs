//! Floods on one tunnel that must not affect the others of its connection.

use test_support::{
    ScriptedUpstream, TestProxy,
    http2::{
        Client, Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL},
    },
    proxy::{Inner, accept_tunnel, expect_open, sending_closes},
};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// h2 counts the overhead of small frames, and closes the connection above a limit.
#[tokio::test]
async fn a_stalled_tunnel_full_of_small_frames_does_not_affect_others() {
    const WINDOW: usize = 128 * 1024;
    let upstream = ScriptedUpstream::start().await;
    let proxy =
        TestProxy::start(Inner::Forward, sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())))
            .await;
    let stalled = Client::with_window(proxy.address, 0).await.connect_websocket("/");
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let flooded = connection.next_request().await;
    connection.accept_tunnel(flooded).await;
    let stalled = stalled.response().await;
    assert_eq!(stalled.0.status(), 200);
    connection.data_bytewise(flooded, WINDOW).await;
    let (mut client, stream) = proxy.open_on(&mut connection).await;
    expect_open(&mut client, &mut connection, stream).await;
    drop(stalled);
}

#[tokio::test]
async fn data_on_reset_streams_does_not_affect_others() {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy =
        TestProxy::start(Inner::Forward, sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())))
            .await;
    let client = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let other = connection.next_request().await;
    let mut client = accept_tunnel(client, &mut connection, other).await;

    let mut resetting = Vec::new();
    for _ in 0..200 {
        resetting.push(proxy.open_on(&mut connection).await);
    }
    let streams: Vec<u32> = resetting.iter().map(|(_, stream)| *stream).collect();
    for (client, stream) in resetting {
        client.reset();
        connection.expect(Frame::Reset { stream, reason: CANCEL }).await;
        proxy.ended().await;
    }
    for _ in 0..10 {
        for stream in &streams {
            connection.data(*stream, "sent before the reset arrived").await;
        }
        connection.settle().await;
    }
    client.send("still there").await;
    loop {
        match connection.next().await {
            Frame::Reset { .. } => {}
            frame => {
                assert_eq!(frame, Frame::Data { stream: other, bytes: b"still there".to_vec(), ends: false });
                break;
            }
        }
    }
}
