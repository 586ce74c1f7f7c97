//! What a client who does not read costs, when an upstream in HTTP/2 goes on sending small messages.

use std::{net::SocketAddr, thread, time::Duration};

use bytes::Bytes;
use h2::{Ping, PingPong, SendStream};
use http::Response;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    time::timeout,
};
use tower_upgrade_proxy::{Http2, UpgradeProxyLayer, Upstream};

use crate::{
    runtime, serve,
    support::{Wire, bounded, handshake},
};

const WINDOW: u32 = 1 << 16;

/// What the kernel keeps for the sockets, so that little is on its way.
const SOCKET_BUFFER: u32 = 4096;

/// Frames sent before the proxy is known to have had its turn: h2 keeps the room that the largest burst took.
const BURST: usize = 64;

/// The window's bytes, and as many again while their memory grows.
const MOST_BYTES: i64 = 3 * WINDOW as i64;

#[test]
fn small_frames_cost_little_more_than_their_bytes() {
    let (addresses, mut listening) = mpsc::unbounded_channel::<SocketAddr>();
    let (proxies, mut proxy_at) = mpsc::unbounded_channel();
    let (opened, mut open) = mpsc::unbounded_channel();
    let (begin, mut begun) = mpsc::unbounded_channel::<()>();
    let others = thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.send(listener.local_addr().unwrap()).unwrap();
            let address = proxy_at.recv().await.unwrap();
            let opening = async { (client(address).await, client(address).await) };
            let (clients, (mut streams, mut pings)) = tokio::join!(opening, agree_twice(listener));
            for stream in &mut streams {
                while timeout(Duration::from_millis(500), send_burst(stream, &mut pings)).await.is_ok() {}
                opened.send(()).unwrap();
                // Until the other one is to begin, or the count is taken.
                let _ = begun.recv().await;
            }
            drop(clients);
        });
    });

    let proxy = runtime();
    let upstream: Upstream = format!("http://{}", proxy.block_on(listening.recv()).unwrap()).parse().unwrap();
    let layer = UpgradeProxyLayer::new(upstream.http2()).http2(Http2::new().stream_window(WINDOW));
    proxies.send(proxy.block_on(async { serve(listener(), layer) })).unwrap();
    // What h2 has room for, after a burst of frames, serves all streams of the connection.
    proxy.block_on(bounded("the first flood", open.recv())).unwrap();
    let counted = allocation_counter::measure(|| {
        begin.send(()).unwrap();
        proxy.block_on(bounded("the second flood", open.recv())).unwrap();
    });
    drop(begin);
    others.join().unwrap();
    let kept = counted.bytes_current;
    println!("{kept} bytes for a window of {WINDOW}");
    assert!((i64::from(WINDOW) / 2..MOST_BYTES).contains(&kept), "{kept} bytes");
}

/// A listener whose connections take little that is not read.
fn listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1).unwrap()
}

/// A client who reads the head of the answer, and nothing more.
async fn client(proxy: SocketAddr) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SOCKET_BUFFER).unwrap();
    let mut client = Wire::new(socket.connect(proxy).await.unwrap());
    assert_eq!(client.ask(handshake("/")).await.status(), 101);
    client
}

/// The upstream's side of two tunnels, and its connection's pings.
async fn agree_twice(listener: TcpListener) -> (Vec<SendStream<Bytes>>, PingPong) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.enable_connect_protocol().handshake(socket).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        streams.push(respond.send_response(Response::new(()), false).unwrap());
    }
    let pings = connection.ping_pong().unwrap();
    tokio::spawn(async move { while connection.accept().await.is_some() {} });
    (streams, pings)
}

/// Bytes in frames of their own, when the window allows it, and a ping that comes back from behind them.
async fn send_burst(stream: &mut SendStream<Bytes>, pings: &mut PingPong) {
    for _ in 0..BURST {
        stream.reserve_capacity(1);
        while stream.capacity() == 0 {
            std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        }
        stream.send_data(Bytes::from_static(b"x"), false).unwrap();
    }
    pings.ping(Ping::opaque()).await.unwrap();
}
