//! What one tunnel must not be able to do to the others of its connection.

use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{
    client::Client,
    frames::{CANCEL, CONNECT_PROTOCOL, Frame, Frames},
    proxy::{Proxy, agreed, expect_open},
    support::Scripted,
};

/// h2 counts what small frames cost beyond their bytes, and closes the connection when it is too much.
#[tokio::test]
async fn a_stalled_tunnel_full_of_small_frames_does_not_affect_others() {
    const WINDOW: usize = 128 * 1024;
    let upstream = Scripted::start().await;
    let proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    let stalled = Client::with_window(proxy.address, 0).await.connect_to("/");
    let mut connection = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let flooded = connection.asked().await;
    connection.agree(flooded).await;
    let stalled = stalled.answer().await;
    assert_eq!(stalled.0.status(), 200);
    connection.bytewise(flooded, WINDOW).await;
    let (mut client, stream) = proxy.open(&mut connection).await;
    expect_open(&mut client, &mut connection, stream).await;
    drop(stalled);
}

#[tokio::test]
async fn data_on_reset_streams_does_not_affect_others() {
    let upstream = Scripted::start().await;
    let mut proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    let client = proxy.asking().await;
    let mut connection = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let staying = connection.asked().await;
    let mut client = agreed(client, &mut connection, staying).await;

    let mut leaving = Vec::new();
    for _ in 0..200 {
        leaving.push(proxy.open(&mut connection).await);
    }
    let streams: Vec<u32> = leaving.iter().map(|(_, stream)| *stream).collect();
    for (client, stream) in leaving {
        client.reset();
        connection.expect(Frame::Reset { stream, reason: CANCEL }).await;
        proxy.ended().await;
    }
    for _ in 0..10 {
        for stream in &streams {
            connection.data(*stream, "sent before the reset came").await;
        }
        connection.settle().await;
    }
    client.send("still there").await;
    loop {
        match connection.next().await {
            Frame::Reset { .. } => {}
            frame => {
                assert_eq!(
                    frame,
                    Frame::Data { stream: staying, bytes: b"still there".to_vec(), ends: false }
                );
                break;
            }
        }
    }
}
