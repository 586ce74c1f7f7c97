//! Idle connections to upstreams, and connections of requests that are cancelled.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request, middleware::map_request};
use hyper_util::rt::TokioIo;
use test_support::{ScriptedUpstream, Wire, bounded, http2::Client, serve};
use tokio::net::TcpStream;
use tower_upgrade_proxy::{UpgradeProxyLayer, Upstream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Serves a location. A field of a request may name its upstream.
async fn location(layer: UpgradeProxyLayer) -> SocketAddr {
    let choose = map_request(|mut request: Request| async {
        if let Some(upstream) = request.headers().get("x-upstream") {
            let upstream: Upstream = upstream.to_str().unwrap().parse().unwrap();
            request.extensions_mut().insert(upstream);
        }
        request
    });
    serve(Router::new().fallback_service(layer.forward()).layer(choose)).await
}

/// Sends a request to each upstream at the same time, then ends them in that order. Returns the upstreams' ends.
async fn requests(address: SocketAddr, upstreams: &[&ScriptedUpstream]) -> Vec<Wire> {
    let mut open = Vec::new();
    for upstream in upstreams {
        let mut client = Wire::connect(address).await;
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Upstream: {}\r\n\r\n", upstream.uri());
        let server = upstream.receive(&mut client, request).await;
        open.push((client, server));
    }
    let mut idle = Vec::new();
    for (mut client, mut server) in open {
        server.send(OK).await;
        let head = client.head().await;
        assert_eq!(client.body(&head).await, b"ok");
        idle.push(server);
    }
    idle
}

/// Asserts that exactly the last `open` connections are open: each is taken by a request, the newest first.
async fn expect_open(address: SocketAddr, upstreams: &[&ScriptedUpstream], idle: Vec<Wire>, open: usize) {
    let closed = idle.len() - open;
    let mut idle = idle;
    for server in &mut idle[..closed] {
        server.expect_end().await;
    }
    let mut clients = Vec::new();
    for (upstream, server) in upstreams.iter().zip(&mut idle).skip(closed).rev() {
        let mut client = Wire::connect(address).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Upstream: {}\r\n\r\n", upstream.uri())).await;
        server.head().await;
        clients.push(client);
    }
}

#[tokio::test]
async fn idle_connections_are_limited_per_upstream_and_the_oldest_are_closed() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(UpgradeProxyLayer::per_request().pool_max_idle_per_upstream(2)).await;
    let upstreams = [&upstream; 5];
    let idle = requests(address, &upstreams).await;
    expect_open(address, &upstreams, idle, 2).await;
}

#[tokio::test]
async fn idle_connections_are_limited_in_total_over_all_upstreams() {
    let mut upstreams = Vec::new();
    for _ in 0..5 {
        upstreams.push(ScriptedUpstream::start().await);
    }
    let upstreams: Vec<_> = upstreams.iter().collect();
    let address = location(UpgradeProxyLayer::per_request().pool_max_idle(3)).await;
    let idle = requests(address, &upstreams).await;
    expect_open(address, &upstreams, idle, 3).await;
}

#[tokio::test]
async fn without_idle_connections_each_request_has_one_of_its_own() {
    let upstream = ScriptedUpstream::start().await;
    for layer in [UpgradeProxyLayer::pool_max_idle, UpgradeProxyLayer::pool_max_idle_per_upstream] {
        let address = location(layer(UpgradeProxyLayer::per_request(), 0)).await;
        let upstreams = [&upstream; 2];
        let idle = requests(address, &upstreams).await;
        expect_open(address, &upstreams, idle, 0).await;
    }
}

#[tokio::test]
async fn a_connection_is_reused_after_trailers() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(UpgradeProxyLayer::new(upstream.uri().parse().unwrap())).await;
    let mut idle = None;
    // The second ones are not passed on.
    for name in ["X-Checksum", "X-Real-IP", "X-Checksum"] {
        let mut client = Wire::connect(address).await;
        let request = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
        let mut server = match idle.take() {
            None => upstream.receive(&mut client, request).await,
            Some(mut server) => {
                client.send(request).await;
                Wire::head(&mut server).await;
                server
            }
        };
        server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n").await;
        server.send(format!("Trailer: {name}\r\n\r\n2\r\nok\r\n0\r\n{name}: 1\r\n\r\n")).await;
        client.head().await;
        client.expect("2\r\nok\r\n0\r\n").await;
        if name == "X-Checksum" {
            client.expect("x-checksum: 1\r\n").await;
        }
        client.expect("\r\n").await;
        client.expect_end().await;
        idle = Some(server);
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_closes_while_idle_is_closed() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(UpgradeProxyLayer::per_request()).await;
    let mut idle = requests(address, &[&upstream]).await;
    idle[0].finish().await;
    idle[0].expect_end().await;
}

#[tokio::test]
async fn a_connection_with_an_unrequested_response_is_not_reused() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(UpgradeProxyLayer::per_request()).await;
    let mut idle = requests(address, &[&upstream]).await;
    idle[0].send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged").await;
    idle[0].expect_end().await;
    requests(address, &[&upstream]).await;
}

#[tokio::test]
async fn a_response_that_ends_before_the_request_closes_the_connection() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(UpgradeProxyLayer::new(upstream.upstream())).await;
    let mut client = Wire::connect(address).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome";
    let mut server = upstream.receive(&mut client, request).await;
    server.expect("some").await;
    server.send(OK).await;
    let head = client.head().await;
    assert_eq!((head.status(), client.body(&head).await), (200, b"ok".to_vec()));
    server.expect_end().await;
}

#[tokio::test]
async fn an_upload_continues_while_the_client_does_not_read_the_response() {
    const SIZE: usize = 4 << 20;
    let upstream = ScriptedUpstream::start().await;
    let address = location(UpgradeProxyLayer::new(upstream.upstream())).await;
    let mut client = Wire::connect(address).await;
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n");
    let mut server = upstream.receive(&mut client, request).await;
    server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * SIZE)).await;
    let (mut reader, mut writer) = server.stream.into_split();
    let sent = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut writer, &vec![b'r'; 2 * SIZE]).await.unwrap();
        writer
    });
    let received = tokio::spawn(async move {
        tokio::io::copy(&mut tokio::io::AsyncReadExt::take(&mut reader, SIZE as u64), &mut tokio::io::sink())
            .await
            .unwrap();
        reader
    });
    client.send(vec![b'x'; SIZE]).await;
    let _reader = bounded("the upload", received).await.unwrap();
    assert_eq!(client.head().await.status(), 200);
    client.exactly(2 * SIZE).await;
    sent.await.unwrap();
}

/// Count of the connections that are being opened, or were.
#[derive(Default)]
struct Connects {
    current: AtomicUsize,
    most: AtomicUsize,
    opened: AtomicUsize,
}

/// A connect in progress.
struct Connecting(Arc<Connects>);

impl Connecting {
    fn new(connects: Arc<Connects>) -> Self {
        let current = connects.current.fetch_add(1, Ordering::SeqCst) + 1;
        connects.most.fetch_max(current, Ordering::SeqCst);
        Self(connects)
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.0.current.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn streams_that_are_reset_leave_no_connections_behind() {
    let upstream = ScriptedUpstream::start().await;
    let (connects, target) = (Arc::<Connects>::default(), upstream.address);
    let counted = Arc::clone(&connects);
    let slow = tower::service_fn(move |_: http::Uri| {
        let connects = Arc::clone(&counted);
        async move {
            let _connecting = Connecting::new(Arc::clone(&connects));
            tokio::time::sleep(Duration::from_millis(300)).await;
            connects.opened.fetch_add(1, Ordering::SeqCst);
            TcpStream::connect(target).await.map(TokioIo::new)
        }
    });
    let address = location(UpgradeProxyLayer::new(upstream.upstream()).connector(slow)).await;
    let mut client = Client::connect(address).await;
    for _ in 0..100 {
        client.ready().await;
        let pending = client.send_request(http::Request::get("http://a/").body(()).unwrap(), true);
        tokio::time::sleep(Duration::from_millis(10)).await;
        drop(pending);
    }
    bounded("the last connect", async {
        while connects.current.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let counts = (connects.most.load(Ordering::SeqCst), connects.opened.load(Ordering::SeqCst));
    assert!(counts.0 <= 10 && counts.1 == 0, "(at once, opened) = {counts:?}");
    upstream.expect_untouched().await;
}
