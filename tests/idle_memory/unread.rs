//! Memory for a client that does not read while an upstream in HTTP/2 sends small messages.

use std::{net::SocketAddr, thread, time::Duration};

use bytes::Bytes;
use h2::{Ping, PingPong, SendStream};
use http::Response;
use test_support::{Wire, bounded, handshake};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    time::timeout,
};
use tower_upgrade_proxy::{Http2, UpgradeProxyLayer, Upstream};

use crate::{runtime, serve};

const WINDOW: u32 = 1 << 16;

/// Size of the sockets' buffers, so that few bytes are in transit.
const SOCKET_BUFFER: u32 = 4096;

/// Number of frames sent before the proxy is known to have read them: h2 keeps the memory of the largest burst.
const BURST: usize = 64;

/// Limit: the window, and twice as much while its memory grows.
const MOST_BYTES: i64 = 3 * WINDOW as i64;

#[test]
fn small_frames_cost_little_more_than_their_bytes() {
    let (addresses, mut listening) = mpsc::unbounded_channel::<SocketAddr>();
    let (proxies, mut proxy_at) = mpsc::unbounded_channel();
    let (opened, mut open) = mpsc::unbounded_channel();
    let (start, mut started) = mpsc::unbounded_channel::<()>();
    let peers = thread::spawn(move || {
        runtime().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.send(listener.local_addr().unwrap()).unwrap();
            let address = proxy_at.recv().await.unwrap();
            let opening = async { (client(address).await, client(address).await) };
            let (clients, (mut streams, mut pings)) = tokio::join!(opening, accept_two_tunnels(listener));
            for stream in &mut streams {
                while timeout(Duration::from_millis(500), send_burst(stream, &mut pings)).await.is_ok() {}
                opened.send(()).unwrap();
                // Waits until the other flood is to start, or the count has ended.
                let _ = started.recv().await;
            }
            drop(clients);
        });
    });

    let proxy = runtime();
    let upstream: Upstream = format!("http://{}", proxy.block_on(listening.recv()).unwrap()).parse().unwrap();
    let layer = UpgradeProxyLayer::new(upstream.http2()).http2(Http2::new().stream_window(WINDOW));
    proxies.send(proxy.block_on(async { serve(listener(), layer) })).unwrap();
    // The memory that h2 has allocated for a burst of frames is used for all streams of the connection.
    proxy.block_on(bounded("the first flood", open.recv())).unwrap();
    let counted = allocation_counter::measure(|| {
        start.send(()).unwrap();
        proxy.block_on(bounded("the second flood", open.recv())).unwrap();
    });
    drop(start);
    peers.join().unwrap();
    let kept = counted.bytes_current;
    println!("{kept} bytes for a window of {WINDOW}");
    assert!((i64::from(WINDOW) / 2..MOST_BYTES).contains(&kept), "{kept} bytes");
}

/// A listener with small buffers for its connections.
fn listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1).unwrap()
}

/// A client that reads the head of the response, and nothing after it.
async fn client(proxy: SocketAddr) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SOCKET_BUFFER).unwrap();
    let mut client = Wire::new(socket.connect(proxy).await.unwrap());
    assert_eq!(client.request(handshake("/")).await.status(), 101);
    client
}

/// Accepts two tunnels. Returns their streams, and the pings of their connection.
async fn accept_two_tunnels(listener: TcpListener) -> (Vec<SendStream<Bytes>>, PingPong) {
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

/// Sends frames of one byte, as the window allows, and waits for the response to a ping sent after them.
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
