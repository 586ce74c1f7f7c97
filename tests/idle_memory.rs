//! What an open tunnel keeps on the heap while nothing moves. Allocations are counted by thread, so
//! the proxy has this one for itself, and clients and upstream share another.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

#[allow(unused_imports, reason = "each test program uses a part")]
mod support;

use std::{net::SocketAddr, thread};

use axum::Router;
use support::{SWITCHING, Wire, bounded, handshake};
use tokio::{
    io,
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinSet,
};
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

/// Opened before anything is counted, so that what all tunnels share is there.
const FIRST: usize = 20;

const COUNTED: usize = 200;

/// Two sockets as tokio sees them take half of it.
const MOST_BYTES: i64 = 1250;

#[test]
fn an_idle_tunnel_keeps_little_more_than_its_two_sockets() {
    let (addresses, mut listening) = mpsc::unbounded_channel();
    let (wanted, mut orders) = mpsc::unbounded_channel::<(SocketAddr, usize)>();
    let (opened, mut open) = mpsc::unbounded_channel();
    let others = thread::spawn(move || {
        runtime().block_on(async {
            addresses.send(upstream().await).unwrap();
            let mut clients = Vec::new();
            while let Some((proxy, more)) = orders.recv().await {
                let mut opening: JoinSet<Wire> = (0..more).map(|_| tunnel(proxy)).collect();
                while let Some(client) = opening.join_next().await {
                    clients.push(client.unwrap());
                }
                opened.send(()).unwrap();
            }
        });
    });

    let proxy = runtime();
    let address = proxy.block_on(async {
        let upstream: Upstream = format!("http://{}", listening.recv().await.unwrap()).parse().unwrap();
        let app = Router::new().layer(UpgradeProxyLayer::new(upstream));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, app).into_future());
        address
    });
    let mut open_more = |tunnels| {
        wanted.send((address, tunnels)).unwrap();
        proxy.block_on(bounded("all tunnels", open.recv())).unwrap();
    };
    open_more(FIRST);
    let counted = allocation_counter::measure(|| open_more(COUNTED));
    drop(wanted);
    others.join().unwrap();

    let each = counted.bytes_current / COUNTED as i64;
    assert!(counted.bytes_total > 1000 * COUNTED as u64, "the proxy ran here: {counted:?}");
    assert!(each > 0 && each <= MOST_BYTES, "{each} bytes for each tunnel");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Opens a tunnel and sends 60 KB through it and back.
async fn tunnel(proxy: SocketAddr) -> Wire {
    let mut client = Wire::connect(proxy).await;
    assert_eq!(client.ask(handshake("/")).await.status(), 101);
    let message = vec![b'x'; 60_000];
    let (mut read, mut write) = client.stream.split();
    let mut echoed = vec![0; message.len()];
    let echo = async {
        let (sent, received) = tokio::join!(
            io::AsyncWriteExt::write_all(&mut write, &message),
            io::AsyncReadExt::read_exact(&mut read, &mut echoed)
        );
        sent.and(received.map(drop)).unwrap();
    };
    bounded("the echo", echo).await;
    assert!(echoed == message);
    client
}

/// Agrees to every upgrade and sends back what comes.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut wire = Wire::new(stream);
                wire.head().await;
                wire.send(SWITCHING).await;
                let (mut read, mut write) = wire.stream.split();
                let _ = io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}
