//! Heap memory of an open tunnel without traffic. Allocations are counted per thread: the proxy runs in this thread,
//! clients and upstream in another.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod unread;

use std::{net::SocketAddr, thread};

use hyper_util::{rt::TokioExecutor, server::conn::auto};
use test_support::{
    bounded,
    serve::{FREE_PORT, listen, serve_auto_with},
    versions::{
        Client, End, Upstream,
        Version::{self, Http1, Http2},
    },
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinSet,
};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// Tunnels opened before the count, so that everything shared by all tunnels is allocated.
const FIRST: usize = 20;

const COUNTED: usize = 200;

/// tokio's part of two sockets is half of it.
#[test]
fn from_a_socket_to_a_socket() {
    expect_at_most(1850, Http1, Http1);
}

#[test]
fn from_a_stream_to_a_socket() {
    expect_at_most(4600, Http2, Http1);
}

#[test]
fn from_a_socket_to_a_stream() {
    expect_at_most(4200, Http1, Http2);
}

#[test]
fn from_a_stream_to_a_stream() {
    expect_at_most(5600, Http2, Http2);
}

fn expect_at_most(bytes: i64, client: Version, upstream: Version) {
    let (upstreams, mut listening) = mpsc::unbounded_channel();
    let (requested, mut requests) = mpsc::unbounded_channel::<(SocketAddr, usize)>();
    let (opened, mut open) = mpsc::unbounded_channel();
    let peers = thread::spawn(move || {
        runtime().block_on(async {
            let upstream = Upstream::start(upstream).await;
            upstreams.send(upstream.uri()).unwrap();
            let mut connection = None;
            let mut tunnels = Vec::new();
            while let Some((proxy, number)) = requests.recv().await {
                if connection.is_none() {
                    connection = Some(Client::connect(client, proxy).await);
                }
                let mut opening: JoinSet<End> =
                    (0..number).map(|_| open_tunnel(client, connection.clone().unwrap())).collect();
                for _ in 0..number {
                    tokio::spawn(echo(upstream.next().await.accept(&[], "").await));
                }
                while let Some(tunnel) = opening.join_next().await {
                    tunnels.push(tunnel.unwrap());
                }
                opened.send(()).unwrap();
            }
        });
    });

    let proxy = runtime();
    let upstream = proxy.block_on(listening.recv()).unwrap();
    let address = proxy.block_on(async { serve(listen(FREE_PORT), UpgradeProxyLayer::new(upstream)) });
    let mut open_tunnels = |number| {
        requested.send((address, number)).unwrap();
        proxy.block_on(bounded("all tunnels", open.recv())).unwrap();
    };
    open_tunnels(FIRST);
    let counted = allocation_counter::measure(|| open_tunnels(COUNTED));
    drop(requested);
    peers.join().unwrap();

    let each = counted.bytes_current / COUNTED as i64;
    println!("{each} bytes for each tunnel");
    assert!(counted.bytes_total > 1000 * COUNTED as u64, "the proxy ran here: {counted:?}");
    assert!(each > 0 && each <= bytes, "{each} bytes for each tunnel");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// hyper-util's server, with room for many streams.
fn serve(listener: TcpListener, layer: UpgradeProxyLayer) -> SocketAddr {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol().max_concurrent_streams(1000);
    serve_auto_with(builder, listener, layer.into_service())
}

/// Opens a tunnel, sends a message through it and reads the echo.
async fn open_tunnel(version: Version, client: Client) -> End {
    let response = client.request("/", &[]).await;
    assert!([101, 200].contains(&response.status.as_u16()), "{}", response.status);
    let mut tunnel = response.end;
    // hyper's server keeps the last frame received on a stream, which is larger for a larger message.
    let message = vec![b'x'; if version == Http1 { 60_000 } else { 1000 }];
    tunnel.send(&message).await;
    assert!(tunnel.exactly(message.len()).await == message);
    tunnel
}

/// Sends every byte back.
async fn echo(end: End) {
    let End { mut sending, mut receiving } = end;
    while let Ok(bytes) = receiving.chunk().await {
        if sending.try_send(&bytes).await.is_err() {
            return;
        }
    }
}
