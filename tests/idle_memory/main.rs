//! What an open tunnel keeps on the heap while nothing moves. Allocations are counted by thread, so
//! the proxy has this one for itself, and clients and upstream share another.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod http1;
mod http2;
mod unread;

use std::{net::SocketAddr, thread};

use hyper_util::{rt::TokioExecutor, server::conn::auto};
use test_support::{self as support, bounded, serve_auto_with};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::mpsc,
    task::JoinSet,
};
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

/// Opened before anything is counted, so that what all tunnels share is there.
const FIRST: usize = 20;

const COUNTED: usize = 200;

/// A stream, or a socket.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens tunnels.
#[derive(Clone)]
enum Client {
    Http1(SocketAddr),
    Http2(http2::Sender),
}

#[derive(Clone, Copy)]
enum Speaks {
    Http1,
    Http2,
}

/// Two sockets as tokio sees them take half of it.
#[test]
fn from_a_socket_to_a_socket() {
    expect_at_most(1850, Speaks::Http1, Speaks::Http1);
}

#[test]
fn from_a_stream_to_a_socket() {
    expect_at_most(4600, Speaks::Http2, Speaks::Http1);
}

#[test]
fn from_a_socket_to_a_stream() {
    expect_at_most(4200, Speaks::Http1, Speaks::Http2);
}

#[test]
fn from_a_stream_to_a_stream() {
    expect_at_most(5600, Speaks::Http2, Speaks::Http2);
}

fn expect_at_most(bytes: i64, client: Speaks, upstream: Speaks) {
    let (addresses, mut listening) = mpsc::unbounded_channel();
    let (wanted, mut orders) = mpsc::unbounded_channel::<(SocketAddr, usize)>();
    let (opened, mut open) = mpsc::unbounded_channel();
    let others = thread::spawn(move || {
        runtime().block_on(async {
            addresses.send(upstream_speaking(upstream).await).unwrap();
            let mut clients = Vec::new();
            let mut opener = None;
            while let Some((proxy, more)) = orders.recv().await {
                if opener.is_none() {
                    opener = Some(match client {
                        Speaks::Http1 => Client::Http1(proxy),
                        Speaks::Http2 => Client::Http2(http2::connect(proxy).await),
                    });
                }
                let opener = opener.as_ref().unwrap();
                let mut opening: JoinSet<Box<dyn Io>> = (0..more).map(|_| opener.clone().tunnel()).collect();
                while let Some(client) = opening.join_next().await {
                    clients.push(client.unwrap());
                }
                opened.send(()).unwrap();
            }
        });
    });

    let proxy = runtime();
    let upstream = proxy.block_on(listening.recv()).unwrap();
    let address = proxy.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        serve(listener, UpgradeProxyLayer::new(upstream))
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

/// One that agrees to every upgrade and sends back what comes.
async fn upstream_speaking(speaks: Speaks) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream: Upstream = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            match speaks {
                Speaks::Http1 => drop(tokio::spawn(http1::answer(socket))),
                Speaks::Http2 => drop(tokio::spawn(http2::answer(socket))),
            }
        }
    });
    match speaks {
        Speaks::Http1 => upstream,
        Speaks::Http2 => upstream.http2(),
    }
}

impl Client {
    /// Opens a tunnel and sends something through it and back.
    async fn tunnel(self) -> Box<dyn Io> {
        match self {
            Self::Http1(address) => echoed(http1::open(address).await, 60_000).await,
            // hyper's server keeps the last frame that came on a stream, and more as it is larger.
            Self::Http2(sender) => echoed(http2::open(sender).await, 1000).await,
        }
    }
}

async fn echoed(mut tunnel: impl Io + 'static, length: usize) -> Box<dyn Io> {
    let message = vec![b'x'; length];
    let mut echo = vec![0; message.len()];
    bounded("to send", tunnel.write_all(&message)).await.unwrap();
    bounded("the echo", tunnel.read_exact(&mut echo)).await.unwrap();
    assert!(echo == message);
    Box::new(tunnel)
}
