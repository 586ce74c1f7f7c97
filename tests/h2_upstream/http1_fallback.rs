//! Upstreams marked as speaking HTTP/2 that do not, or not for upgrades.

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
use tokio::net::TcpStream;
use tower::service_fn;
use tower_upgrade_proxy::{Error, Protocol, Protocols, UpgradeProxyLayer, Upstream};

use crate::{
    frames::{CANCEL, CONNECT_PROTOCOL, Frame, Frames, streams},
    proxy::{Proxy, agreed, expect_open},
    support::{SWITCHING, Scripted, Wire, bounded, handshake, serve, serve_auto, serve_http1},
};

/// What is in HTTP/1.1 on the next connection: the upstream agrees to it.
async fn agree_in_http1(upstream: &Scripted, mut client: Wire) -> (Wire, Wire) {
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

async fn proxy_for(upstream: &Scripted) -> Proxy {
    Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await
}

#[tokio::test]
async fn without_extended_connect_upgrades_use_http1_and_later_ones_skip_the_attempt() {
    let upstream = Scripted::start().await;
    let proxy = proxy_for(&upstream).await;
    let client = proxy.asking().await;
    let mut frames = Frames::accept(&upstream, &[]).await;
    let _first = agree_in_http1(&upstream, client).await;
    for _ in 0..3 {
        agree_in_http1(&upstream, proxy.asking().await).await;
    }

    // Ordinary requests have the connection to themselves, and the next one too.
    let mut client = Wire::connect(proxy.address).await;
    client.send(PAGE).await;
    answer(&mut client, &mut frames).await;
    upstream.expect_untouched().await;
    drop(frames);
    client.send(PAGE).await;
    let mut frames = Frames::accept(&upstream, &[]).await;
    answer(&mut client, &mut frames).await;
    agree_in_http1(&upstream, proxy.asking().await).await;
}

const PAGE: &str = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n";

/// The request for a page has come in HTTP/2, and is answered.
async fn answer(client: &mut Wire, upstream: &mut Frames) {
    let Frame::Headers { stream, ends: true } = upstream.next().await else { panic!("no request") };
    upstream.last_headers(stream, b"\x89").await;
    assert_eq!(client.head().await.status(), 204);
}

#[tokio::test]
async fn an_upgrade_refused_in_both_versions_is_a_502_with_the_reason() {
    let upstream = Scripted::start().await;
    let mut proxy = proxy_for(&upstream).await;
    let mut client = proxy.asking().await;
    let _frames = Frames::accept(&upstream, &[]).await;
    for _ in 0..2 {
        let mut server = upstream.accept().await;
        server.head().await;
        drop(server);
        assert_eq!(client.head().await.status(), 502);
        let error = proxy.error().await;
        is_no_http2(&error, "SETTINGS do not allow extended CONNECT");
        client = proxy.asking().await;
    }
}

/// What is not the upstream's doing is told as such.
#[tokio::test]
async fn no_descriptor_for_the_attempt_in_http1_is_a_503() {
    /// `EMFILE` on every Unix; `WSAEMFILE` on Windows.
    const OUT_OF_DESCRIPTORS: i32 = if cfg!(windows) { 10_024 } else { 24 };
    let upstream = Scripted::start().await;
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
    let layer = UpgradeProxyLayer::new(upstream.upstream().http2()).connector(connector);
    let mut proxy = Proxy::start(layer).await;
    let mut client = proxy.asking().await;
    let _frames = Frames::accept(&upstream, &[]).await;
    assert_eq!(client.head().await.status(), 503);
    let error = proxy.error().await;
    assert!(error.is_descriptor_limit(), "{error}");
}

fn is_no_http2(error: &Error, reason: &str) {
    assert!(error.is_no_http2() && !error.is_upstream_protocol(), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[tokio::test]
async fn after_a_400_to_the_preface_upgrades_use_http1() {
    let upstream = Scripted::start().await;
    let proxy = proxy_for(&upstream).await;
    let client = proxy.asking().await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.first_line(), "PRI * HTTP/2.0");
    server.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    agree_in_http1(&upstream, client).await;
    agree_in_http1(&upstream, proxy.asking().await).await;
}

#[tokio::test]
async fn a_free_stream_is_used_after_a_fallback_on_another_connection() {
    let upstream = Scripted::start().await;
    let mut proxy = proxy_for(&upstream).await;
    let mut client = proxy.asking().await;
    let mut frames = Frames::accept(&upstream, &[CONNECT_PROTOCOL, streams(1)]).await;
    let stream = frames.asked().await;
    client = agreed(client, &mut frames, stream).await;
    let second = proxy.asking().await;
    let _other = Frames::accept(&upstream, &[]).await;
    agree_in_http1(&upstream, second).await;
    proxy.ended().await;

    client.reset();
    frames.expect(Frame::Reset { stream, reason: CANCEL }).await;
    proxy.ended().await;
    let (mut client, stream) = proxy.open(&mut frames).await;
    expect_open(&mut client, &mut frames, stream).await;
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_502_as_in_http1() {
    let upstream: Upstream = "unix:/does/not/exist.sock".parse().unwrap();
    let mut proxy = Proxy::start(UpgradeProxyLayer::new(upstream.http2())).await;
    assert_eq!(proxy.asking().await.head().await.status(), 502);
    let error = proxy.error().await;
    assert!(error.is_connect() && !error.is_no_http2(), "{error}");
}

#[tokio::test]
async fn a_connection_closed_before_settings_means_http1_for_that_request() {
    let upstream = Scripted::start().await;
    let proxy = proxy_for(&upstream).await;
    for reset in [false, true] {
        let client = proxy.asking().await;
        let mut server = upstream.accept().await;
        server.head().await;
        match reset {
            true => server.reset(),
            false => drop(server),
        }
        agree_in_http1(&upstream, client).await;
    }
}

#[tokio::test]
async fn a_silent_upstream_delays_an_upgrade_no_longer_than_the_timeouts() {
    let upstream = Scripted::start().await;
    let timeout = Duration::from_millis(300);
    let layer = UpgradeProxyLayer::new(upstream.upstream().http2());
    let mut proxy = Proxy::start(layer.connect_timeout(timeout).handshake_timeout(timeout)).await;
    let started = tokio::time::Instant::now();
    let mut client = proxy.asking().await;
    let _silent = Frames::silent(&upstream).await;
    let mut also_silent = upstream.accept().await;
    also_silent.head().await;
    assert_eq!(client.head().await.status(), 504);
    assert!(proxy.error().await.is_timeout());
    assert!(started.elapsed() < 2 * timeout + Duration::from_secs(3), "{:?}", started.elapsed());
    // In HTTP/1.1 it may speak.
    agree_in_http1(&upstream, proxy.asking().await).await;
}

/// A WebSocket through the proxy, echoed by a server at `upstream`.
async fn expect_echo(upstream: Upstream) {
    let mut proxy = Proxy::start(UpgradeProxyLayer::new(upstream)).await;
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

/// Answers each message with itself.
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
    let mut proxy = Proxy::start(UpgradeProxyLayer::new(upstream.http2())).await;
    let mut client = proxy.asking().await;
    assert_eq!(client.head().await.status(), 502);
    is_no_http2(&proxy.error().await, "SETTINGS do not allow extended CONNECT");
}

#[tokio::test]
async fn an_upgrade_with_another_method_or_a_body_uses_http1() {
    let upstream = Scripted::start().await;
    let tcp = Protocol::new("tcp").unwrap().methods([Method::POST, Method::GET]).with_request_body();
    let layer = UpgradeProxyLayer::new(upstream.upstream().http2()).protocols(Protocols::only(tcp));
    let proxy = Proxy::start(layer).await;
    let agreement = SWITCHING.replace("websocket", "tcp");
    for (method, body) in [("POST", ""), ("POST", "body"), ("GET", "body")] {
        let mut client = Wire::connect(proxy.address).await;
        let request = handshake("/attach").replacen("GET", method, 1).replace("websocket", "tcp");
        let length = format!("\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.send(request.replace("\r\n\r\n", &length)).await;
        let mut server = upstream.accept().await;
        let head = server.head().await;
        assert_eq!(head.first_line(), format!("{method} /attach HTTP/1.1"));
        server.expect(body).await;
        server.send(&agreement).await;
        assert_eq!(client.head().await.status(), 101);
        client.send("ping").await;
        server.expect("ping").await;
    }

    // Without either it is a CONNECT.
    let mut client = Wire::connect(proxy.address).await;
    client.send(handshake("/attach").replace("websocket", "tcp")).await;
    let mut frames = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    let stream = frames.asked().await;
    frames.agree(stream).await;
    assert_eq!(client.head().await.status(), 101);
}
