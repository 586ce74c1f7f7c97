//! Tunnels whose clients, in HTTP/2 themselves, leave without a word.

use h2::Reason;
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::{
    client::Client,
    frames::{CANCEL, CONNECT_PROTOCOL, Frame, Frames},
    proxy::{Proxy, expect_open},
    support::Scripted,
};

/// The proxy, the upstream's connection with a tunnel of another client, and as many of one client.
async fn opened(tunnels: usize) -> (Proxy, Frames, Client, Vec<(h2::SendStream<bytes::Bytes>, u32)>) {
    let upstream = Scripted::start().await;
    let proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    let mut client = Client::connect(proxy.address).await;
    let mut connection = None;
    let mut opened = Vec::new();
    for _ in 0..tunnels {
        let asked = client.connect_to("/");
        let connection = match &mut connection {
            Some(connection) => connection,
            None => connection.insert(Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await),
        };
        let stream = connection.asked().await;
        connection.agree(stream).await;
        let (answer, send) = asked.answer().await;
        assert_eq!(answer.status(), 200);
        opened.push((send, stream));
    }
    (proxy, connection.unwrap(), client, opened)
}

#[tokio::test]
async fn a_stream_cancelled_by_the_client_ends_at_the_upstream() {
    let (proxy, mut connection, _client, mut tunnels) = opened(2).await;
    let (mut cancelling, cancelled) = tunnels.remove(0);
    cancelling.send_reset(Reason::CANCEL);
    match connection.next().await {
        Frame::Data { stream, bytes, ends: true } => assert!(stream == cancelled && bytes.is_empty()),
        frame => assert_eq!(frame, Frame::Reset { stream: cancelled, reason: CANCEL }),
    }
    let (mut client, stream) = proxy.open(&mut connection).await;
    expect_open(&mut client, &mut connection, stream).await;
}

#[tokio::test]
async fn a_failed_client_connection_resets_only_its_own_streams() {
    let (proxy, mut connection, client, tunnels) = opened(3).await;
    let mut expected: Vec<u32> = tunnels.iter().map(|(_, stream)| *stream).collect();
    let (mut staying, stream) = proxy.open(&mut connection).await;
    client.abort();
    while !expected.is_empty() {
        match connection.next().await {
            Frame::Reset { stream: over, .. } | Frame::Data { stream: over, ends: true, .. } => {
                expected.retain(|stream| *stream != over);
            }
            frame => panic!("{frame:?}"),
        }
    }
    expect_open(&mut staying, &mut connection, stream).await;
}
