//! Selection of the version of HTTP by ALPN ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301)).

use test_support::{
    SWITCHING, ScriptedUpstream, TestProxy, Wire,
    http2::{FrameConnection, frame::CONNECT_PROTOCOL},
    ping_pong,
    proxy::{Inner, accept_tunnel, expect_open},
    tls::TlsServer,
};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower_upgrade_proxy::{Tls, UpgradeProxyLayer, Upstream};

/// The marks of an upstream for HTTP/2.
const MARKS: [fn(Upstream) -> Upstream; 2] = [Upstream::auto, Upstream::http2];

/// Starts a server with these protocols, and a proxy in front of it.
async fn behind_tls(alpn: &[&str], mark: fn(Upstream) -> Upstream) -> (TlsServer, TestProxy) {
    let server = TlsServer::with_protocols("127.0.0.1:0", alpn).await;
    let upstream = mark(server.uri("https", "localhost").parse().unwrap());
    let layer = UpgradeProxyLayer::new(upstream).tls(Tls::config(server.client_config()));
    (server, TestProxy::start(Inner::Forward, layer).await)
}

/// Accepts the client's upgrade on `stream` in HTTP/1.1.
async fn accept_in_http1(stream: TlsStream<TcpStream>, mut client: Wire) {
    let mut server = Wire::new(stream);
    assert_eq!(server.head().await.first_line(), "GET / HTTP/1.1");
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    ping_pong(&mut client, &mut server).await;
}

#[tokio::test]
async fn tunnels_share_a_connection_if_alpn_selects_h2() {
    for mark in MARKS {
        let (server, proxy) = behind_tls(&["h2", "http/1.1"], mark).await;
        let client = proxy.connect_with_handshake().await;
        let (stream, protocol) = server.accept().await;
        assert_eq!(protocol.as_deref(), Some("h2"));
        let mut frames = FrameConnection::accept_on(stream).await;
        frames.settings(&[CONNECT_PROTOCOL]).await;
        let stream = frames.next_request().await;
        let mut first = (accept_tunnel(client, &mut frames, stream).await, stream);
        let mut second = proxy.open_on(&mut frames).await;
        for (client, stream) in [&mut first, &mut second] {
            expect_open(client, &mut frames, *stream).await;
        }
        server.expect_untouched();
    }
}

#[tokio::test]
async fn the_same_connection_carries_the_upgrade_if_alpn_selects_http1() {
    for mark in MARKS {
        let cases: [(&[&str], Option<&str>); 3] =
            [(&["http/1.1"], Some("http/1.1")), (&["http/1.1", "h2"], Some("http/1.1")), (&[], None)];
        for (alpn, selected) in cases {
            let (server, proxy) = behind_tls(alpn, mark).await;
            for _ in 0..2 {
                let client = proxy.connect_with_handshake().await;
                let (stream, protocol) = server.accept().await;
                assert_eq!(protocol.as_deref(), selected);
                accept_in_http1(stream, client).await;
                server.expect_untouched();
            }
        }
    }
}

#[tokio::test]
async fn without_extended_connect_the_upgrade_uses_http1_on_another_connection() {
    for mark in MARKS {
        let (server, proxy) = behind_tls(&["h2", "http/1.1"], mark).await;
        let client = proxy.connect_with_handshake().await;
        let mut frames = FrameConnection::accept_on(server.accept().await.0).await;
        frames.settings(&[]).await;
        let (stream, protocol) = server.accept().await;
        assert_eq!(protocol.as_deref(), Some("http/1.1"));
        accept_in_http1(stream, client).await;

        let client = proxy.connect_with_handshake().await;
        let (stream, protocol) = server.accept().await;
        assert_eq!(protocol.as_deref(), Some("http/1.1"), "the fallback is not remembered");
        accept_in_http1(stream, client).await;
    }
}

#[tokio::test]
async fn ordinary_requests_are_forwarded_if_alpn_selects_http1() {
    for mark in MARKS {
        let (server, proxy) = behind_tls(&["http/1.1"], mark).await;
        let mut client = Wire::connect(proxy.address).await;
        client.send("GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
        // The first connection was opened by the HTTP/2 pool, and is not used.
        drop(server.accept().await);
        let mut connection = Wire::new(server.accept().await.0);
        assert_eq!(connection.head().await.first_line(), "GET /page HTTP/1.1");
    }
}

#[tokio::test]
async fn without_tls_auto_is_http1() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream().auto())).await;
    let mut client = proxy.connect_with_handshake().await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.first_line(), "GET / HTTP/1.1");
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    upstream.expect_untouched().await;
}
