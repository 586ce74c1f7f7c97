//! Upstreams marked for HTTP/2 that do not support it, or not for upgrades.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{WebSocketUpgrade, ws::Message},
    routing::any,
};
use futures_util::{SinkExt, StreamExt};
use http::{Method, Uri};
use hyper_util::rt::TokioIo;
use test_support::{
    SWITCHING, ScriptedUpstream, TestProxy, Wire, bounded, handshake,
    http2::{
        Frame, FrameConnection,
        frame::{CANCEL, CONNECT_PROTOCOL, max_streams},
    },
    proxy::{Inner, accept_tunnel, expect_open, sending_closes},
    serve, serve_auto, serve_http1,
};
use tokio::net::TcpStream;
use tower::service_fn;
use tower_upgrade_proxy::{Error, Protocol, Protocols, UpgradeProxyLayer, Upstream};

/// Accepts the upgrade of `client` in HTTP/1.1 on the upstream's next connection.
async fn accept_in_http1(upstream: &ScriptedUpstream, mut client: Wire) -> (Wire, Wire) {
    let mut server = upstream.accept().await;
    let head = server.head().await;
    assert_eq!(head.first_line(), "GET / HTTP/1.1");
    assert_eq!(head.values("upgrade"), ["websocket"]);
    assert_eq!(head.values("host"), ["client.example"]);
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    client.send("ping").await;
    server.expect("ping").await;
    (client, server)
}

async fn proxy_for(upstream: &ScriptedUpstream) -> TestProxy {
    TestProxy::start(Inner::Forward, sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())))
        .await
}

#[tokio::test]
async fn without_extended_connect_upgrades_use_http1_and_later_ones_skip_the_attempt() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = proxy_for(&upstream).await;
    let client = proxy.connect_with_handshake().await;
    let mut frames = FrameConnection::accept(&upstream, &[]).await;
    let _first = accept_in_http1(&upstream, client).await;
    for _ in 0..3 {
        accept_in_http1(&upstream, proxy.connect_with_handshake().await).await;
    }

    // Ordinary requests use the connection in HTTP/2, and the next one.
    let mut client = Wire::connect(proxy.address).await;
    client.send(PAGE).await;
    serve_page(&mut client, &mut frames).await;
    upstream.expect_untouched().await;
    drop(frames);
    client.send(PAGE).await;
    let mut frames = FrameConnection::accept(&upstream, &[]).await;
    serve_page(&mut client, &mut frames).await;
    accept_in_http1(&upstream, proxy.connect_with_handshake().await).await;
}

const PAGE: &str = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";

/// Receives the request for a page in HTTP/2, and responds to it.
async fn serve_page(client: &mut Wire, upstream: &mut FrameConnection) {
    let Frame::Headers { stream, ends: true, .. } = upstream.next().await else { panic!("no request") };
    upstream.last_headers(stream, b"\x89").await;
    assert_eq!(client.head().await.status(), 204);
}

#[tokio::test]
async fn an_upgrade_refused_in_both_versions_is_a_502_with_the_reason() {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy = proxy_for(&upstream).await;
    let mut client = proxy.connect_with_handshake().await;
    let _frames = FrameConnection::accept(&upstream, &[]).await;
    for _ in 0..2 {
        let mut server = upstream.accept().await;
        server.head().await;
        drop(server);
        assert_eq!(client.head().await.status(), 502);
        let error = proxy.error().await;
        expect_no_http2(&error, "SETTINGS do not allow extended CONNECT");
        client = proxy.connect_with_handshake().await;
    }
}

/// A failure of the proxy is not reported as one of the upstream.
#[tokio::test]
async fn no_descriptor_for_the_attempt_in_http1_is_a_503() {
    /// `EMFILE` on every Unix; `WSAEMFILE` on Windows.
    const OUT_OF_DESCRIPTORS: i32 = if cfg!(windows) { 10_024 } else { 24 };
    let upstream = ScriptedUpstream::start().await;
    let (address, one_left) = (upstream.address, Arc::new(AtomicBool::new(true)));
    let connector = service_fn(move |_: Uri| {
        let is_left = one_left.swap(false, Relaxed);
        async move {
            if is_left {
                return TcpStream::connect(address).await.map(TokioIo::new);
            }
            Err(io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS))
        }
    });
    let layer = sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())).connector(connector);
    let mut proxy = TestProxy::start(Inner::Forward, layer).await;
    let mut client = proxy.connect_with_handshake().await;
    let _frames = FrameConnection::accept(&upstream, &[]).await;
    assert_eq!(client.head().await.status(), 503);
    let error = proxy.error().await;
    assert!(error.is_descriptor_limit(), "{error}");
}

fn expect_no_http2(error: &Error, reason: &str) {
    assert!(error.is_no_http2() && !error.is_upstream_protocol(), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[tokio::test]
async fn after_a_400_to_the_preface_upgrades_use_http1() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = proxy_for(&upstream).await;
    let client = proxy.connect_with_handshake().await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.first_line(), "PRI * HTTP/2.0");
    server.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    accept_in_http1(&upstream, client).await;
    accept_in_http1(&upstream, proxy.connect_with_handshake().await).await;
}

#[tokio::test]
async fn a_free_stream_is_used_after_a_fallback_on_another_connection() {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy = proxy_for(&upstream).await;
    let mut client = proxy.connect_with_handshake().await;
    let mut frames = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL, max_streams(1)]).await;
    let stream = frames.next_request().await;
    client = accept_tunnel(client, &mut frames, stream).await;
    let second = proxy.connect_with_handshake().await;
    let _other = FrameConnection::accept(&upstream, &[]).await;
    accept_in_http1(&upstream, second).await;
    proxy.ended().await;

    client.reset();
    frames.expect(Frame::Reset { stream, reason: CANCEL }).await;
    proxy.ended().await;
    let (mut client, stream) = proxy.open_on(&mut frames).await;
    expect_open(&mut client, &mut frames, stream).await;
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_502_as_in_http1() {
    let upstream: Upstream = "unix:/does/not/exist.sock".parse().unwrap();
    let mut proxy = TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.http2())).await;
    assert_eq!(proxy.connect_with_handshake().await.head().await.status(), 502);
    let error = proxy.error().await;
    assert!(error.is_connect() && !error.is_no_http2(), "{error}");
}

#[tokio::test]
async fn a_connection_closed_before_settings_means_http1_for_that_request() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = proxy_for(&upstream).await;
    for reset in [false, true] {
        let client = proxy.connect_with_handshake().await;
        let mut server = upstream.accept().await;
        server.head().await;
        match reset {
            true => server.reset(),
            false => drop(server),
        }
        accept_in_http1(&upstream, client).await;
    }
}

#[tokio::test]
async fn a_silent_upstream_delays_an_upgrade_no_longer_than_the_timeouts() {
    let upstream = ScriptedUpstream::start().await;
    let timeout = Duration::from_millis(300);
    let layer = sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2()));
    let mut proxy =
        TestProxy::start(Inner::Forward, layer.connect_timeout(timeout).handshake_timeout(timeout)).await;
    let started = tokio::time::Instant::now();
    let mut client = proxy.connect_with_handshake().await;
    let _silent = FrameConnection::accept_without_settings(&upstream).await;
    let mut silent_in_http1 = upstream.accept().await;
    silent_in_http1.head().await;
    assert_eq!(client.head().await.status(), 504);
    assert!(proxy.error().await.is_timeout());
    assert!(started.elapsed() < 2 * timeout + Duration::from_secs(3), "{:?}", started.elapsed());
    // In HTTP/1.1 the upstream responds.
    accept_in_http1(&upstream, proxy.connect_with_handshake().await).await;
}

/// Opens WebSockets through the proxy to `upstream`, and requires an echo.
async fn expect_echo(upstream: Upstream) {
    let mut proxy = TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream)).await;
    for _ in 0..2 {
        let url = format!("ws://{}/", proxy.address);
        let (mut socket, _) = bounded("101", tokio_tungstenite::connect_async(url)).await.unwrap();
        socket.send("hello".into()).await.unwrap();
        let message = bounded("the echo", socket.next()).await.unwrap().unwrap();
        assert_eq!(message.to_text().unwrap(), "hello");
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = bounded("the end", socket.next()).await {}
        drop(socket);
        let summary = proxy.ended().await;
        assert!(summary.end().is_orderly(), "{summary:?}");
    }
}

/// Sends each message back.
fn echo() -> Router {
    Router::new().fallback(any(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message @ Message::Text(_))) = socket.recv().await {
                let _ = socket.send(message).await;
            }
        })
    }))
}

#[tokio::test]
async fn servers_of_all_versions_are_supported() {
    for address in [serve_http1(echo()).await, serve_auto(echo()).await, serve(echo()).await] {
        expect_echo(format!("http://{address}").parse::<Upstream>().unwrap().http2()).await;
    }
}

#[tokio::test]
async fn an_http2_only_server_without_extended_connect_is_a_502() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream: Upstream = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut connection) = h2::server::handshake(tcp).await {
                    while connection.accept().await.is_some() {}
                }
            });
        }
    });
    let mut proxy = TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.http2())).await;
    let mut client = proxy.connect_with_handshake().await;
    assert_eq!(client.head().await.status(), 502);
    expect_no_http2(&proxy.error().await, "SETTINGS do not allow extended CONNECT");
}

#[tokio::test]
async fn an_upgrade_with_another_method_or_a_body_uses_http1() {
    let upstream = ScriptedUpstream::start().await;
    let tcp = Protocol::new("tcp").unwrap().methods([Method::POST, Method::GET]).with_request_body();
    let layer =
        sending_closes(UpgradeProxyLayer::new(upstream.upstream().http2())).protocols(Protocols::only(tcp));
    let proxy = TestProxy::start(Inner::Forward, layer).await;
    let response = SWITCHING.replace("websocket", "tcp");
    for (method, body) in [("POST", ""), ("POST", "body"), ("GET", "body")] {
        let mut client = Wire::connect(proxy.address).await;
        let request = handshake("/attach").replacen("GET", method, 1).replace("websocket", "tcp");
        let length = format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.send(request.replace("\r\n\r\n", &length)).await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.first_line(), format!("{method} /attach HTTP/1.1"));
        server.expect(body).await;
        server.send(&response).await;
        assert_eq!(client.head().await.status(), 101);
        client.send("ping").await;
        server.expect("ping").await;
    }

    // A GET without a body is an extended CONNECT.
    let mut client = Wire::connect(proxy.address).await;
    client.send(handshake("/attach").replace("websocket", "tcp")).await;
    let mut frames = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = frames.next_request().await;
    frames.accept_tunnel(stream).await;
    assert_eq!(client.head().await.status(), 101);
}
