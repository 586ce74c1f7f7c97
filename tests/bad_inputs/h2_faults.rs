//! J7. Faults in HTTP/2 that end tunnels.

use std::time::{Duration, Instant};

use test_support::{
    Inner, ScriptedProxy, Wire, bounded,
    http2::{
        Frame, FrameConnection,
        frame::{CANCEL, INTERNAL_ERROR, websocket},
    },
    websocket::frame::close_code,
};
use tower_upgrade_proxy::{Drain, TunnelConfig};

/// A connection of a client, with its tunnels.
struct Connection {
    client: FrameConnection,
    tunnels: Vec<(u32, Wire)>,
}

impl Connection {
    async fn open(proxy: &ScriptedProxy, tunnels: usize) -> Self {
        let mut connection =
            Self { client: FrameConnection::connect(proxy.address).await, tunnels: Vec::new() };
        for _ in 0..tunnels {
            let stream = connection.client.open_stream(&websocket()).await;
            let server = proxy.upstream.accept_upgrade().await;
            assert_eq!(connection.client.status(stream).await, 200);
            connection.tunnels.push((stream, server));
        }
        connection.expect_alive().await;
        connection
    }

    async fn expect_alive(&mut self) {
        for (stream, server) in &mut self.tunnels {
            self.client.data(*stream, b"\x81\x04ping").await;
            server.expect(b"\x81\x04ping").await;
            server.send(b"\x81\x04pong").await;
            self.client.expect_of(*stream, b"\x81\x04pong").await;
        }
    }
}

/// Starts a proxy with timeouts that do not expire during a test.
async fn with_long_timeouts(inner: Inner, drain: &Drain) -> ScriptedProxy {
    let hour = Duration::from_secs(3600);
    let tunnel = TunnelConfig::new().half_close_timeout(hour).close_timeout(hour).idle_timeout(hour);
    ScriptedProxy::start_with(inner, |layer| layer.tunnel(tunnel).drain(drain.watcher())).await
}

/// Waits until this number of tunnels is open.
async fn expect_open(drain: &Drain, tunnels: usize) {
    bounded("the end of the other tunnels", async {
        while drain.active() != tunnels {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn j7_stream_reset_ends_only_its_tunnel(inner: Inner) {
    let drain = Drain::new();
    let proxy = with_long_timeouts(inner, &drain).await;
    let mut connection = Connection::open(&proxy, 3).await;
    let mut other = Connection::open(&proxy, 2).await;
    let (stream, mut server) = connection.tunnels.remove(1);
    connection.client.reset_stream(stream, INTERNAL_ERROR).await;
    server.expect_close(1001).await;
    expect_open(&drain, 4).await;
    connection.expect_alive().await;
    other.expect_alive().await;
}

/// hyper reports a cancelled stream as ended.
async fn j7_cancelled_stream_is_a_half_close_bounded_by_its_timeout(inner: Inner) {
    let drain = Drain::new();
    let proxy = with_long_timeouts(inner, &drain).await;
    let mut connection = Connection::open(&proxy, 3).await;
    let (stream, mut server) = connection.tunnels.remove(1);
    connection.client.reset_stream(stream, CANCEL).await;
    assert_eq!(close_code(&server.rest().await), Some(1001));
    drop(server);
    expect_open(&drain, 2).await;
    connection.expect_alive().await;

    let soon = Duration::from_millis(300);
    let proxy =
        ScriptedProxy::start_with(inner, |layer| layer.half_close_timeout(soon).drain(drain.watcher())).await;
    let begun = Instant::now();
    let mut connection = Connection::open(&proxy, 2).await;
    let (stream, mut server) = connection.tunnels.remove(1);
    connection.client.reset_stream(stream, CANCEL).await;
    assert_eq!(close_code(&server.rest().await), Some(1001));
    expect_open(&drain, 2 + 1).await;
    assert!(begun.elapsed() >= soon);
    connection.expect_alive().await;
}

async fn j7_stream_reset_during_the_handshake_releases_the_upstream(inner: Inner) {
    let drain = Drain::new();
    let proxy = with_long_timeouts(inner, &drain).await;
    let mut connection = Connection::open(&proxy, 2).await;
    for reason in [CANCEL, INTERNAL_ERROR] {
        let stream = connection.client.open_stream(&websocket()).await;
        let mut server = proxy.upstream.accept().await;
        server.head().await;
        connection.client.reset_stream(stream, reason).await;
        server.expect_end().await;
        connection.expect_alive().await;
    }
    expect_open(&drain, 2).await;
}

async fn j7_dropped_connection_ends_only_its_tunnels(inner: Inner) {
    let drain = Drain::new();
    let proxy = with_long_timeouts(inner, &drain).await;
    let mut other = Connection::open(&proxy, 2).await;
    for resets in [true, false] {
        let Connection { mut client, tunnels } = Connection::open(&proxy, 3).await;
        let pending = client.open_stream(&websocket()).await;
        let mut pending_server = proxy.upstream.accept().await;
        pending_server.head().await;
        assert!(pending > 0);
        if resets {
            client.stream.set_zero_linger().unwrap();
        }
        drop(client);
        for (_, mut server) in tunnels {
            server.expect_close(1001).await;
        }
        pending_server.expect_end().await;
        expect_open(&drain, 2).await;
        other.expect_alive().await;
    }
}

/// GOAWAY of a client refuses streams opened by the server, and the server opens none.
async fn j7_goaway_closes_the_connection_after_its_last_tunnel(inner: Inner) {
    let drain = Drain::new();
    let proxy = with_long_timeouts(inner, &drain).await;
    let mut connection = Connection::open(&proxy, 3).await;
    let mut other = Connection::open(&proxy, 2).await;
    connection.client.goaway(0).await;
    connection.client.settle().await;
    connection.expect_alive().await;
    let Connection { mut client, tunnels } = connection;
    for (stream, mut server) in tunnels {
        client.finish(stream).await;
        server.expect_close(1001).await;
    }
    while !matches!(client.next().await, Frame::End) {}
    expect_open(&drain, 2).await;
    other.expect_alive().await;
}

async fn j7_dropped_upstream_ends_only_its_tunnel(inner: Inner) {
    let drain = Drain::new();
    let proxy = with_long_timeouts(inner, &drain).await;
    let mut connection = Connection::open(&proxy, 3).await;
    let (stream, server) = connection.tunnels.remove(1);
    server.reset();
    match connection.client.next_of(stream).await {
        Frame::Data { bytes, ends: true, .. } => assert!(bytes.is_empty(), "{bytes:?}"),
        frame => panic!("{frame:?}"),
    }
    connection.client.finish(stream).await;
    expect_open(&drain, 2).await;
    connection.expect_alive().await;
}

on_both![
    j7_stream_reset_ends_only_its_tunnel,
    j7_cancelled_stream_is_a_half_close_bounded_by_its_timeout,
    j7_stream_reset_during_the_handshake_releases_the_upstream,
    j7_dropped_connection_ends_only_its_tunnels,
    j7_goaway_closes_the_connection_after_its_last_tunnel,
    j7_dropped_upstream_ends_only_its_tunnel,
];
