//! Tunnels of HTTP/2 clients that reset their streams or connections.

use h2::Reason;
use test_support::{
    ScriptedUpstream, TestProxy,
    http2::{
        Client, Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL},
    },
    proxy::{Inner, expect_open, sending_closes},
};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// Opens tunnels of one client. Returns the proxy, the upstream's connection, the client, and its streams.
async fn opened(
    tunnels: usize,
) -> (TestProxy, FrameConnection, Client, Vec<(h2::SendStream<bytes::Bytes>, u32)>) {
    let upstream = ScriptedUpstream::start().await;
    let proxy =
        TestProxy::start(Inner::Forward, sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())))
            .await;
    let mut client = Client::connect(proxy.address).await;
    let mut connection = None;
    let mut opened = Vec::new();
    for _ in 0..tunnels {
        let pending = client.connect_websocket("/");
        let connection = match &mut connection {
            Some(connection) => connection,
            None => connection.insert(FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await),
        };
        let stream = connection.next_request().await;
        connection.accept_tunnel(stream).await;
        let (response, send) = pending.response().await;
        assert_eq!(response.status(), 200);
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
    let (mut client, stream) = proxy.open_on(&mut connection).await;
    expect_open(&mut client, &mut connection, stream).await;
}

#[tokio::test]
async fn a_failed_client_connection_resets_only_its_own_streams() {
    let (proxy, mut connection, client, tunnels) = opened(3).await;
    let mut expected: Vec<u32> = tunnels.iter().map(|(_, stream)| *stream).collect();
    let (mut staying, stream) = proxy.open_on(&mut connection).await;
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
