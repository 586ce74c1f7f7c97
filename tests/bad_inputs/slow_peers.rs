//! L. Peers that stop in the middle of a message, and small frames for peers that do not read.

use std::{
    future::poll_fn,
    net::SocketAddr,
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{SendStream, client::Builder};
use http::Request;
use test_support::{
    Inner, ScriptedProxy, Wire, bounded,
    http2::{
        Client, Frame, FrameConnection,
        frame::{
            CONNECT_PROTOCOL, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, frame,
        },
    },
};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};
use tower_upgrade_proxy::{Protocol, Protocols, UpgradeProxyLayer, Upstream};

use crate::allocations::{measure_proxy, measure_proxy_with};

const TIMEOUT: Duration = Duration::from_millis(300);

/// Window of a stream, and with it the largest amount of unread bytes.
const WINDOW: usize = 128 * 1024;

/// Time without progress after which a connection counts as stalled.
const STALLED: Duration = Duration::from_millis(500);

/// Status 400 in HPACK.
const BAD_REQUEST: &[u8] = &[0x8c];

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

fn layer(layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
    let tcp = Protocol::new("tcp").unwrap().with_request_body();
    layer
        .protocols(Protocols::websocket().allow(tcp))
        .header_timeout(TIMEOUT)
        .handshake_timeout(TIMEOUT)
        .send_timeout(TIMEOUT)
        .max_refusal_size(u64::MAX)
}

/// The fields of an upgrade, and also none if ordinary requests are forwarded.
fn kinds(inner: Inner) -> Vec<&'static str> {
    match inner {
        Inner::Application => vec![UPGRADE],
        Inner::Forward => vec![UPGRADE, ""],
    }
}

async fn l1_paused_request_body_is_408(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, layer).await;
    for fields in kinds(inner) {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 8\r\n\r\nhalf");
        let mut client = proxy.connect().await;
        let mut server = proxy.upstream.receive(&mut client, request).await;
        server.expect("half").await;
        let head = client.head().await;
        assert!(head.status() == 408 && head.has("connection", "close"), "{}", head.text());
        client.body(&head).await;
        client.expect_end().await;
        server.expect_end().await;
    }
}

async fn l2_response_that_is_not_read_releases_the_upstream(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, layer).await;
    for fields in kinds(inner) {
        let mut client = proxy.connect().await;
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut server = proxy.upstream.receive(&mut client, request).await;
        server.send("HTTP/1.1 404 X\r\nContent-Length: 1000000000\r\n\r\n").await;
        let block = vec![b'x'; 1 << 16];
        bounded("the end", async { while server.stream.write_all(&block).await.is_ok() {} }).await;
        assert_eq!(client.head().await.status(), 404);
        assert!(client.rest().await.len() < 1_000_000_000, "an incomplete response looks complete");
    }
}

async fn l3_streams_without_a_window_release_their_upstreams(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, layer).await;
    let mut client = Client::with_window(proxy.address, 0).await;
    for _ in 0..3 {
        let pending = client.connect_websocket("/");
        let mut server = proxy.upstream.accept().await;
        server.head().await;
        server.send("HTTP/1.1 404 X\r\nContent-Length: 1000000\r\n\r\n").await;
        let block = vec![b'x'; 1 << 16];
        bounded("the end", async { while server.stream.write_all(&block).await.is_ok() {} }).await;
        assert_eq!(pending.response().await.0.status(), 404);
    }
}

fn tcp(upstream: Upstream) -> UpgradeProxyLayer {
    let tcp = Protocol::new("tcp").unwrap().with_request_body();
    UpgradeProxyLayer::new(upstream).protocols(Protocols::websocket().allow(tcp))
}

fn http2(upstream: Upstream) -> UpgradeProxyLayer {
    UpgradeProxyLayer::new(upstream.http2())
}

async fn l4_unread_response_in_frames_of_one_byte_takes_no_more_than_its_window(inner: Inner) {
    let allocations = measure_proxy_with(inner, http2, move |proxy, mut start| async move {
        let mut client = Client::with_window(proxy.address, 0).await;
        let mut pending = vec![client.connect_websocket("/")];
        let mut upstream = FrameConnection::accept(&proxy.upstream, &[CONNECT_PROTOCOL]).await;
        if inner == Inner::Forward {
            pending.push(client.send_request(Request::get("http://a/").body(()).unwrap(), true));
        }
        for index in 0..pending.len() {
            let stream = loop {
                // The refused tunnel ends.
                if let Frame::Headers { stream, .. } = upstream.next().await {
                    break stream;
                }
            };
            upstream.headers(stream, BAD_REQUEST).await;
            upstream.settle().await;
            if index == 0 {
                start.now().await;
            }
            upstream.data_bytewise(stream, WINDOW).await;
            upstream.settle().await;
        }
    });
    // Frames are in h2's queue until the connection has read 32 KiB.
    assert!(allocations.bytes_max < 4 << 20, "{allocations:?}");
}

/// Sends until no more data is accepted.
async fn fill(wire: &mut Wire) {
    let block = vec![0; 1 << 14];
    while timeout(STALLED, wire.stream.write_all(&block)).await.is_ok() {}
}

/// A client whose streams have no limit of their own.
async fn http2_client(address: SocketAddr) -> Client {
    Client::with(address, &Builder::new().max_send_buffer_size(8 << 20).clone()).await
}

/// Sends until half of the window of `axum::serve`, 1 MiB, is not given back.
async fn fill_stream(stream: &mut SendStream<Bytes>) {
    const HALF: usize = 1 << 19;
    loop {
        stream.reserve_capacity(2 * HALF);
        let available = poll_fn(|cx| {
            while stream.capacity() < HALF {
                ready!(stream.poll_capacity(cx)).unwrap().unwrap();
            }
            Poll::Ready(())
        });
        if timeout(STALLED, available).await.is_err() {
            return stream.reserve_capacity(0);
        }
        stream.send_data(vec![0; 1 << 16].into(), false).unwrap();
    }
}

/// Sends a window in frames of one byte. The proxy may end the connection.
async fn flood(stream: &mut SendStream<Bytes>) {
    for _ in 0..WINDOW {
        if stream.send_data(Bytes::from_static(b"x"), false).is_err() {
            break;
        }
    }
    sleep(2 * STALLED).await;
}

/// h2 counts the overhead of small frames against the window of the connection, 1 MiB with `axum::serve`.
async fn l5_frames_of_one_byte_in_a_tunnel_that_is_not_read_take_no_more_than_the_window(inner: Inner) {
    let allocations = measure_proxy(inner, |proxy, mut start| async move {
        let mut client = http2_client(proxy.address).await;
        let pending = client.connect_websocket("/");
        let _server = proxy.upstream.accept_upgrade().await;
        let (_response, mut up) = pending.response().await;
        start.now().await;
        fill_stream(&mut up).await;
        flood(&mut up).await;
    });
    assert!(allocations.bytes_max < 4 << 20, "{allocations:?}");
}

async fn l6_request_body_in_frames_of_one_byte_takes_no_more_than_the_window(inner: Inner) {
    if inner == Inner::Application {
        return;
    }
    let allocations = measure_proxy(inner, |proxy, mut start| async move {
        let mut client = http2_client(proxy.address).await;
        let mut pending = client.send_request(Request::post("http://a/").body(()).unwrap(), false);
        let mut server = proxy.upstream.accept().await;
        server.head().await;
        start.now().await;
        fill_stream(&mut pending.send).await;
        flood(&mut pending.send).await;
    });
    assert!(allocations.bytes_max < 4 << 20, "{allocations:?}");
}

async fn l7_request_body_in_chunks_of_one_byte_takes_no_more_than_the_sockets(inner: Inner) {
    let allocations = measure_proxy_with(inner, tcp, move |proxy, mut start| async move {
        let fields = if inner == Inner::Forward { "" } else { UPGRADE };
        let mut client = proxy.connect().await;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
        let _server = proxy.upstream.receive(&mut client, head).await;
        start.now().await;
        let chunks = "1\r\nx\r\n".repeat(1 << 14);
        while timeout(STALLED, client.stream.write_all(chunks.as_bytes()))
            .await
            .is_ok_and(|sent| sent.is_ok())
        {}
    });
    assert!(allocations.bytes_max < 2 << 20, "{allocations:?}");
}

/// Once the upstream's socket is full, frames of one byte are not queued for it.
async fn l8_frames_of_one_byte_for_an_upstream_in_http2_that_does_not_read_are_not_queued(inner: Inner) {
    if inner == Inner::Application {
        return;
    }
    let allocations = measure_proxy_with(inner, http2, |proxy, mut start| async move {
        let mut bulk = proxy.connect().await;
        bulk.send(test_support::handshake("/")).await;
        let window = (4, 1 << 30);
        let mut upstream = FrameConnection::accept(&proxy.upstream, &[CONNECT_PROTOCOL, window]).await;
        let update = frame(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes());
        upstream.stream.write_all(&update).await.unwrap();
        let stream = upstream.next_request().await;
        upstream.accept_tunnel(stream).await;
        assert_eq!(bulk.head().await.status(), 101);
        let mut client = http2_client(proxy.address).await;
        let mut pending = client.send_request(Request::post("http://a/").body(()).unwrap(), false);
        upstream.next_request().await;
        start.now().await;
        fill(&mut bulk).await;
        for _ in 0..300 {
            for _ in 0..100 {
                let _ = pending.send.send_data(Bytes::from_static(b"x"), false);
            }
            sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(allocations.bytes_max < 4 << 20, "{allocations:?}");
}

/// Opens a connection in HTTP/2 with the largest windows, whose responses are not read, and requests `/`.
async fn request_and_read_nothing(address: SocketAddr) -> Wire {
    const LARGEST: u32 = (1 << 31) - 1;
    let settings = [&4u16.to_be_bytes()[..], &LARGEST.to_be_bytes()].concat();
    let update = (LARGEST - 65_535).to_be_bytes();
    // GET, http, /, and the authority.
    let block = [0x82, 0x86, 0x84, 0x01, 1, b'a'];
    let mut client = Wire::connect(address).await;
    let frames = [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &settings),
        frame(WINDOW_UPDATE, 0, 0, &update),
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &block),
    ];
    client.send(frames.concat()).await;
    client
}

/// The server queues 400 KiB for the client's socket, which cost many times as much in frames of one byte.
#[tokio::test]
async fn l9_chunks_of_one_byte_for_a_client_that_does_not_read_are_copied_together() {
    let allocations = measure_proxy(Inner::Forward, |proxy, mut start| async move {
        let _client = request_and_read_nothing(proxy.address).await;
        let mut server = proxy.upstream.accept().await;
        server.head().await;
        start.now().await;
        server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let chunks = "1\r\nx\r\n".repeat(1 << 14);
        while timeout(STALLED, server.stream.write_all(chunks.as_bytes())).await.is_ok() {}
    });
    assert!(allocations.bytes_max < 4 << 20, "{allocations:?}");
}

on_both![
    l1_paused_request_body_is_408,
    l2_response_that_is_not_read_releases_the_upstream,
    l3_streams_without_a_window_release_their_upstreams,
    l4_unread_response_in_frames_of_one_byte_takes_no_more_than_its_window,
    l5_frames_of_one_byte_in_a_tunnel_that_is_not_read_take_no_more_than_the_window,
    l6_request_body_in_frames_of_one_byte_takes_no_more_than_the_window,
    l7_request_body_in_chunks_of_one_byte_takes_no_more_than_the_sockets,
    l8_frames_of_one_byte_for_an_upstream_in_http2_that_does_not_read_are_not_queued,
];
