//! Responses and tunnels that the client does not read.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, serve::Listener as _};
use futures_util::future::join_all;
use h2::client::Builder;
use http::Request;
use test_support::{
    ScriptedUpstream, Wire, bounded, handshake,
    http2::{Client, PendingResponse},
    serve,
    serve::{FREE_PORT, listen},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tower_upgrade_proxy::{Protocol, Protocols, SendTimeout, UpgradeProxyLayer};

const TIMEOUT: Duration = Duration::from_millis(400);

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn layer(upstream: &ScriptedUpstream) -> UpgradeProxyLayer {
    UpgradeProxyLayer::new(upstream.upstream())
        .protocols(Protocols::websocket().allow(Protocol::new("tcp").unwrap()))
        .max_refusal_size(u64::MAX)
        .idle_timeout(None)
        .send_timeout(TIMEOUT)
}

async fn location(upstream: &ScriptedUpstream) -> SocketAddr {
    serve(Router::new().fallback_service(layer(upstream).forward())).await
}

/// Sends until the connection fails. Returns the number of bytes.
async fn flood(server: &mut Wire) -> usize {
    let block = vec![b'x'; 1 << 16];
    let mut sent = 0;
    bounded("the end", async {
        while server.stream.write_all(&block).await.is_ok() {
            sent += block.len();
        }
    })
    .await;
    sent
}

/// Sends until nothing more is accepted. Returns the number of bytes.
async fn fill(server: &mut Wire) -> usize {
    let block = vec![b'x'; 1 << 16];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(TIMEOUT, server.stream.write(&block)).await {
        sent += written.unwrap();
    }
    sent
}

#[tokio::test]
async fn the_upstream_of_a_response_that_is_not_read_is_released() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(&upstream).await;
    let tcp = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    for (request, status) in [(GET, 200), (&handshake("/"), 403), (tcp, 403)] {
        let mut client = Wire::connect(address).await;
        let mut server = upstream.receive(&mut client, request).await;
        server.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 1000000000\r\n\r\n")).await;
        flood(&mut server).await;
        assert_eq!(client.head().await.status(), status);
        assert!(client.rest().await.len() < 1_000_000_000);
    }
}

/// A client in HTTP/2 with this window for each stream, and a large one for the connection.
async fn http2_client(address: SocketAddr, window: u32) -> Client {
    let builder = Builder::new().initial_window_size(window).initial_connection_window_size(1 << 30).clone();
    Client::with(address, &builder).await
}

/// Sends a request on a stream, to which the upstream responds.
async fn response(client: &mut Client, upstream: &ScriptedUpstream) -> (PendingResponse, Wire) {
    let pending = client.send_request(Request::get("http://a/").body(()).unwrap(), true);
    let mut server = upstream.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    (pending, server)
}

#[tokio::test]
async fn streams_that_are_not_read_are_ended_and_the_others_of_the_connection_continue() {
    for window in [0, 1, 16_384] {
        let upstream = ScriptedUpstream::start().await;
        let address = location(&upstream).await;
        let mut client = http2_client(address, window).await;
        let mut stalled = Vec::new();
        for _ in 0..3 {
            stalled.push(response(&mut client, &upstream).await);
        }
        let (read, mut server) = response(&mut client, &upstream).await;
        let mut body = read.response().await.0.into_body();
        let send = tokio::spawn(async move {
            flood(&mut server).await;
        });
        let ended = tokio::spawn(async move {
            join_all(stalled.iter_mut().map(|(_, server)| flood(server))).await;
            stalled
        });
        let mut ended = std::pin::pin!(ended);
        // Reads frames for three times the timeout.
        let mut frames = 0;
        while window > 1 && frames < 48 {
            let data = bounded("data", body.data()).await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            frames += 1;
            sleep(TIMEOUT / 16).await;
        }
        assert!(window < 2 || !send.is_finished(), "a stream that is read has ended");
        send.abort();
        let stalled = bounded("the end of the others", ended.as_mut()).await.unwrap();
        for (pending, _) in stalled {
            let mut body = pending.response().await.0.into_body();
            let error = bounded("the end", async {
                loop {
                    match body.data().await {
                        Some(Ok(data)) => body.flow_control().release_capacity(data.len()).unwrap(),
                        Some(Err(error)) => return Some(error),
                        None => return None,
                    }
                }
            });
            if window > 1 {
                assert!(error.await.unwrap().is_reset(), "a response that was ended looks complete");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_read_slowly_continues() {
    // To a client with this window, 64 KiB take several times the timeout.
    const WINDOW: u32 = 1024;
    const PAUSE: Duration = TIMEOUT.checked_div(8).unwrap();
    let upstream = ScriptedUpstream::start().await;
    let mut client = http2_client(location(&upstream).await, WINDOW).await;
    let ordinary = response(&mut client, &upstream).await;
    let pending = client.connect_websocket("/");
    let mut server = upstream.accept_upgrade().await;
    server.send("HTTP/1.1 403 X\r\nContent-Length: 1000000000\r\n\r\n").await;
    for (pending, mut server) in [ordinary, (pending, server)] {
        tokio::spawn(async move { flood(&mut server).await });
        let mut body = pending.response().await.0.into_body();
        for _ in 0..40 {
            let data = bounded("data", body.data()).await.unwrap().unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            sleep(PAUSE).await;
        }
    }
}

#[tokio::test]
async fn a_slow_upstream_is_not_the_clients_fault() {
    let upstream = ScriptedUpstream::start().await;
    let mut client = Wire::connect(location(&upstream).await).await;
    let mut server = upstream.receive(&mut client, GET).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n").await;
    for half in ["half", "more"] {
        sleep(3 * TIMEOUT).await;
        server.send(half).await;
    }
    let head = client.head().await;
    assert_eq!(client.body(&head).await, b"halfmore");
}

struct Limited(TcpListener);

impl axum::serve::Listener for Limited {
    type Io = SendTimeout<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (socket, peer) = axum::serve::Listener::accept(&mut self.0).await;
        (SendTimeout::new(socket, TIMEOUT), peer)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// [`location`], with a limit for the clients' connections too.
async fn limited(upstream: &ScriptedUpstream) -> SocketAddr {
    let listener = Limited(listen(FREE_PORT));
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback_service(layer(upstream).forward());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

#[tokio::test]
async fn a_connection_with_a_send_timeout_is_closed() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(&upstream).await;
    // The whole response is queued in the server.
    for request in [GET, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"] {
        let mut client = Wire::connect(address).await;
        let mut server = upstream.receive(&mut client, request).await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
        flood(&mut server).await;
        bounded("the reset", async { while client.stream.write_all(b"x").await.is_ok() {} }).await;
    }
}

#[tokio::test]
async fn tunnels_that_are_not_read_continue() {
    let upstream = ScriptedUpstream::start().await;
    for address in [location(&upstream).await, limited(&upstream).await] {
        let (mut client, mut server) = upstream.tunnel(Wire::connect(address).await).await;
        let sent = fill(&mut server).await;
        sleep(4 * TIMEOUT).await;
        client.exactly(sent).await;
        server.send("on").await;
        client.expect("on").await;

        let mut client = http2_client(address, 1000).await;
        let pending = client.connect_websocket("/");
        let mut server = upstream.accept_upgrade().await;
        let mut tunnel = Wire::new(pending.tunnel().await);
        let sent = fill(&mut server).await;
        sleep(4 * TIMEOUT).await;
        tunnel.exactly(sent).await;
        server.send("on").await;
        tunnel.expect("on").await;
    }
}
