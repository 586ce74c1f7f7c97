//! Detection of dead connections by PING, and the end of unused connections.

use std::time::Duration;

use test_support::{
    ScriptedUpstream, TestProxy, Wire, bounded,
    http2::{
        Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL, NO_ERROR},
    },
    proxy::{Inner, accept_tunnel, expect_open, sending_closes},
    websocket::frame::close_code,
};
use tokio::io::AsyncWriteExt;
use tower_upgrade_proxy::{Http2, Side, TunnelEnd, TunnelSummary, UpgradeProxyLayer};

const SHORT: Duration = Duration::from_millis(50);
const NEVER: Duration = Duration::from_secs(3600);

/// Starts an upstream and a proxy in front of it, and opens a tunnel.
async fn opened(
    http2: Http2,
    change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
) -> (ScriptedUpstream, TestProxy, FrameConnection, (Wire, u32)) {
    let upstream = ScriptedUpstream::start().await;
    let layer =
        sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())).http2(http2).idle_timeout(NEVER);
    let proxy = TestProxy::start(Inner::Forward, change(layer)).await;
    let client = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_request().await;
    let client = accept_tunnel(client, &mut connection, stream).await;
    (upstream, proxy, connection, (client, stream))
}

fn short_keep_alive() -> Http2 {
    Http2::new().keep_alive_interval(SHORT).keep_alive_timeout(Duration::from_secs(1))
}

fn is_failure_of_the_upstream(summary: &TunnelSummary) -> bool {
    matches!(summary.end(), TunnelEnd::Failed { side: Side::Upstream, .. })
}

#[tokio::test]
async fn tunnels_fail_if_pings_are_not_acknowledged() {
    let (_upstream, mut proxy, mut connection, (mut client, _)) =
        opened(short_keep_alive(), |layer| layer).await;
    let (mut second, _) = proxy.open_on(&mut connection).await;
    // The upstream reads nothing more.
    for client in [&mut client, &mut second] {
        client.expect_close(1011).await;
        let summary = proxy.ended().await;
        assert!(is_failure_of_the_upstream(&summary), "{summary:?}");
    }
    drop(connection);
}

#[tokio::test]
async fn tunnels_fail_if_the_upstream_reads_nothing() {
    let (_upstream, mut proxy, connection, (client, _)) = opened(short_keep_alive(), |layer| layer).await;
    let (mut reading, mut writing) = client.stream.into_split();
    let flood = tokio::spawn(async move { while writing.write_all(&[0; 1 << 16]).await.is_ok() {} });
    let summary = proxy.ended().await;
    assert!(is_failure_of_the_upstream(&summary), "{summary:?}");
    let _ = bounded("the end", tokio::io::copy(&mut reading, &mut tokio::io::sink())).await;
    bounded("the end of writing", flood).await.unwrap();
    drop(connection);
}

#[tokio::test]
async fn a_dead_connection_gets_no_new_streams() {
    let (upstream, mut proxy, dead, _tunnel) = opened(short_keep_alive(), |layer| layer).await;
    proxy.ended().await;
    let client = proxy.connect_with_handshake().await;
    let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = connection.next_request().await;
    let mut client = accept_tunnel(client, &mut connection, stream).await;
    expect_open(&mut client, &mut connection, stream).await;
    drop(dead);
}

/// Requires five PINGs, and then that the tunnel carries bytes.
async fn expect_pings_and_tunnel(connection: &mut FrameConnection, client: &mut Wire, stream: u32) {
    for _ in 0..5 {
        connection.expect_ping().await;
    }
    client.send("still there").await;
    assert_eq!(
        connection.next_after_pings().await,
        Frame::Data { stream, bytes: b"still there".to_vec(), ends: false }
    );
}

#[tokio::test]
async fn tunnels_stay_open_while_pings_are_acknowledged() {
    let http2 = short_keep_alive().keep_alive_timeout(Duration::from_secs(5));
    let (_upstream, _proxy, mut connection, (mut client, stream)) = opened(http2, |layer| layer).await;
    expect_pings_and_tunnel(&mut connection, &mut client, stream).await;
}

/// Returns the number of PINGs during half a second without data.
async fn pings(http2: Http2, change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> usize {
    let silence = Duration::from_millis(500);
    let change = |layer: UpgradeProxyLayer| change(layer).idle_timeout(silence);
    let (_upstream, _proxy, mut connection, _tunnel) = opened(http2, change).await;
    let mut pings = 0;
    loop {
        match connection.next().await {
            Frame::Ping(payload) => connection.pong(&payload).await,
            Frame::Data { bytes, .. } if close_code(&bytes) == Some(1001) => return pings,
            frame => panic!("{frame:?}"),
        }
        pings += 1;
    }
}

#[tokio::test]
async fn pings_are_sent_at_the_interval() {
    assert!(pings(Http2::new().keep_alive_interval(SHORT), |layer| layer).await >= 2);
    assert_eq!(pings(Http2::new().keep_alive_interval(None), |layer| layer).await, 0);
}

#[tokio::test]
async fn a_short_pool_idle_timeout_causes_no_pings() {
    assert_eq!(pings(Http2::new(), |layer| layer.pool_idle_timeout(SHORT)).await, 0);
}

#[tokio::test]
async fn an_unused_connection_is_closed_and_the_next_upgrade_opens_another() {
    for http2 in [Http2::new(), Http2::new().keep_alive_interval(None)] {
        let (upstream, mut proxy, mut connection, (client, stream)) =
            opened(http2, |layer| layer.pool_idle_timeout(SHORT)).await;
        client.reset();
        connection.expect(Frame::Reset { stream, reason: CANCEL }).await;
        proxy.ended().await;
        connection.expect(Frame::GoAway { reason: NO_ERROR }).await;
        connection.expect(Frame::End).await;

        let client = proxy.connect_with_handshake().await;
        let mut connection = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
        let stream = connection.next_request().await;
        let mut client = accept_tunnel(client, &mut connection, stream).await;
        expect_open(&mut client, &mut connection, stream).await;
    }
}

#[tokio::test]
async fn a_connection_with_a_silent_tunnel_is_in_use() {
    let http2 = Http2::new().keep_alive_interval(SHORT);
    let (_upstream, _proxy, mut connection, (mut client, stream)) =
        opened(http2, |layer| layer.pool_idle_timeout(SHORT)).await;
    expect_pings_and_tunnel(&mut connection, &mut client, stream).await;
}
