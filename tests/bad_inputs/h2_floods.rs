//! J8 and J9. Floods by one client, or one tunnel, that must not affect the others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use h2::{RecvStream, SendStream, client::Builder};
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use test_support::{
    Inner, ScriptedProxy, ScriptedUpstream, Wire, bounded,
    http2::{
        Client, FrameConnection,
        frame::{CANCEL, END_HEADERS, HEADERS, RST_STREAM, frame, websocket},
        stream::{expect, send},
    },
    ping_pong,
    serve::serve_auto_with,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::allocations::measure_proxy;

/// Time without progress after which a connection counts as stalled.
const STALLED: Duration = Duration::from_millis(500);

/// hyper accepts a limited number at a time, and closes the connection above it.
async fn j8_ten_thousand_streams_reset_at_once_are_cheap(inner: Inner) {
    let allocations = measure_proxy(inner, |proxy, mut start| async move {
        let (mut client, mut server) = proxy.tunnel().await;
        start.now().await;
        let (mut reading, mut writing) = FrameConnection::connect(proxy.address).await.stream.into_split();
        let flood = tokio::spawn(async move {
            for number in 0..10_000 {
                if writing.write_all(&open_and_reset(2 * number + 1)).await.is_err() {
                    return;
                }
            }
            let _ = writing.shutdown().await;
        });
        let mut responses = Vec::new();
        // The connection may end with a reset.
        let _ = bounded("the end", reading.read_to_end(&mut responses)).await;
        bounded("the flood", flood).await.unwrap();
        assert!(responses.len() < 1 << 20, "{} bytes", responses.len());
        // All upstream connections are released.
        let last = Wire::connect(proxy.upstream.address).await.stream.local_addr().unwrap();
        let mut connections = 0;
        loop {
            let mut server = proxy.upstream.accept().await;
            if server.stream.peer_addr().unwrap() == last {
                break;
            }
            server.rest().await;
            connections += 1;
        }
        assert!(connections <= 1000, "{connections} connections");
        ping_pong(&mut client, &mut server).await;
    });
    assert!(allocations.bytes_max < 2 << 20, "{allocations:?}");
    assert!(allocations.bytes_current < 1 << 17, "{allocations:?}");
}

/// Streams whose requests have reached the upstream.
async fn j8_streams_reset_one_by_one_leave_nothing_behind(inner: Inner) {
    const AT_ONCE: usize = 20;
    let allocations = measure_proxy(inner, |proxy, mut start| async move {
        let mut client = FrameConnection::connect(proxy.address).await;
        let tunnel = client.open_stream(&websocket()).await;
        let mut server = proxy.upstream.accept_upgrade().await;
        assert_eq!(client.status(tunnel).await, 200);
        for round in 0..50 {
            if round == 5 {
                start.now().await;
            }
            let mut streams = Vec::new();
            for _ in 0..AT_ONCE {
                let stream = client.open_stream(&websocket()).await;
                let mut server = proxy.upstream.accept().await;
                server.head().await;
                streams.push((stream, server));
            }
            for (stream, mut server) in streams {
                client.reset_stream(stream, CANCEL).await;
                server.expect_end().await;
            }
        }
        client.data(tunnel, "ping").await;
        server.expect("ping").await;
    });
    assert!(allocations.bytes_max < 1 << 20, "{allocations:?}");
    assert!(allocations.bytes_current < 1 << 16, "{allocations:?}");
}

type Tunnel = (SendStream<Bytes>, RecvStream, Wire);

/// Opens tunnels on one connection with large windows of the client.
async fn tunnels(proxy: &ScriptedProxy, count: usize) -> Vec<Tunnel> {
    let builder = Builder::new().initial_window_size(1 << 20).initial_connection_window_size(1 << 30).clone();
    let mut client = Client::with(proxy.address, &builder).await;
    let mut tunnels = Vec::new();
    for _ in 0..count {
        let pending = client.connect_websocket("/");
        let server = proxy.upstream.accept_upgrade().await;
        let (response, up) = pending.response().await;
        tunnels.push((up, response.into_body(), server));
    }
    tunnels
}

/// Sends until no more data is accepted.
async fn flood_up(up: &mut SendStream<Bytes>) {
    let block = vec![0; 1 << 14];
    while timeout(STALLED, send(up, &block)).await.is_ok() {}
}

async fn flood_down(server: &mut Wire) {
    let block = vec![0; 1 << 14];
    while timeout(STALLED, server.stream.write_all(&block)).await.is_ok() {}
}

/// Transfers 256 KiB in both directions.
async fn transfer((up, down, server): &mut Tunnel) {
    const BYTES: usize = 1 << 18;
    let (sent, received) = (vec![1; BYTES], async {
        let mut received = 0;
        while received < BYTES {
            let data = bounded("data", down.data()).await.unwrap().unwrap();
            down.flow_control().release_capacity(data.len()).unwrap();
            received += data.len();
        }
    });
    let (mut reading, mut writing) = server.stream.split();
    let mut read = vec![0; BYTES];
    let (_, _, taken, written) = tokio::join!(
        send(up, &sent),
        received,
        bounded("up", reading.read_exact(&mut read)),
        bounded("down", writing.write_all(&sent))
    );
    taken.unwrap();
    written.unwrap();
}

async fn j9_one_stalled_tunnel_of_a_hundred_does_not_slow_the_others(inner: Inner) {
    const WINDOW: u32 = 128 << 10;
    let upstream = ScriptedUpstream::start().await;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .enable_connect_protocol()
        .max_concurrent_streams(100)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * 100 * WINDOW);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = inner.app(UpgradeProxyLayer::new(upstream.upstream()));
    let proxy = ScriptedProxy { inner, upstream, address: serve_auto_with(builder, listener, app) };
    let mut tunnels = tunnels(&proxy, 100).await;
    let (mut up, _down, mut server) = tunnels.remove(50);
    let mut times = Vec::new();
    for stalled in [false, true] {
        if stalled {
            flood_up(&mut up).await;
            flood_down(&mut server).await;
        }
        let begun = Instant::now();
        bounded("the other 99", join_all(tunnels.iter_mut().map(transfer))).await;
        times.push(begun.elapsed());
    }
    assert!(times[1] < 10 * times[0] + Duration::from_secs(5), "{times:?}");
}

/// The window of the connection is as large as that of a stream, 1 MiB. One stalled stream may leave a part
/// of it, as h2 returns windows in halves; two do not.
async fn j9_stalled_tunnels_block_other_senders_on_axum_serve(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut tunnels = tunnels(&proxy, 3).await;
    let mut stalled = tunnels.split_off(1);
    let (other, receiver, other_server) = &mut tunnels[0];
    let mut attempts = 0;
    loop {
        for (up, ..) in &mut stalled {
            flood_up(up).await;
        }
        match timeout(STALLED, send(other, b"x")).await {
            Err(_) => break,
            // The machine was slow.
            Ok(()) => other_server.expect("x").await,
        }
        attempts += 1;
        assert!(attempts < 10, "axum::serve does not block any more");
    }
    // Data to the client is not affected.
    other_server.send("down").await;
    expect(receiver, "down").await;
    // Nor is data sent afterwards.
    drop(stalled);
    send(other, b"up").await;
    other_server.expect("up").await;
}

/// The frames that open `stream` and reset it.
fn open_and_reset(stream: u32) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, stream, &websocket());
    [headers, frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
}

on_both![
    j8_ten_thousand_streams_reset_at_once_are_cheap,
    j8_streams_reset_one_by_one_leave_nothing_behind,
    j9_one_stalled_tunnel_of_a_hundred_does_not_slow_the_others,
    j9_stalled_tunnels_block_other_senders_on_axum_serve,
];
