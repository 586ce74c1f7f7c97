//! K. Interim responses of the upstream.

use std::time::{Duration, Instant};

use test_support::{
    Inner, ScriptedProxy, ScriptedUpstream, TestProxy, Wire, bounded,
    http2::{Frame, FrameConnection, frame::CONNECT_PROTOCOL},
};
use tokio::io::AsyncWriteExt;
use tower_upgrade_proxy::UpgradeProxyLayer;

use crate::exchange::Kind;

const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";

/// The limit.
const MAX_INTERIM: usize = 32;

async fn k7_interim_responses_above_the_limit_are_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for kind in Kind::all(inner) {
        for interim in [INTERIM, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "HTTP/1.0 199 \r\n\r\n"] {
            let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
            server.send(interim.repeat(MAX_INTERIM) + FORBIDDEN).await;
            let received = sent.head().await;
            assert_eq!(received.status, 403, "{interim:?} {kind:?}");
            assert_eq!(received.complete_body().await.unwrap(), "no");
            // It would be used again.
            drop(server);

            for response in ["", FORBIDDEN] {
                let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
                server.send(interim.repeat(MAX_INTERIM + 1) + response).await;
                assert_eq!(sent.head().await.status, 502, "{interim:?} {kind:?}");
                server.expect_end().await;
            }
        }
    }
}

/// The sockets' buffers have room for this many bytes.
const MAX_TAKEN: usize = 16 << 20;

/// Sends interim responses until the proxy closes the connection. Returns the number of bytes.
async fn flood(mut server: Wire) -> usize {
    let interim = INTERIM.repeat(1000);
    let mut taken = 0;
    while bounded("to send", server.stream.write_all(interim.as_bytes())).await.is_ok() {
        taken += interim.len();
        assert!(taken < MAX_TAKEN, "the flood is read on");
    }
    taken
}

async fn k7_endless_interim_responses_end_the_connection(inner: Inner) {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy = TestProxy::start(inner, UpgradeProxyLayer::new(upstream.upstream())).await;
    for kind in Kind::all(inner) {
        let (sent, server) = kind.request(proxy.address, &upstream).await;
        let (received, _) = tokio::join!(sent.head(), flood(server));
        assert_eq!(received.status, 502, "{kind:?}");
        let error = proxy.error().await;
        assert!(error.is_upstream_protocol(), "{error}");
        assert!(error.to_string().ends_with("more than 32 interim responses came before it"), "{error}");
    }
}

/// The limit is one of requests, though it ends the connection.
async fn k7_interim_responses_are_counted_for_each_request(inner: Inner) {
    if inner == Inner::Application {
        // Upgrades have connections of their own.
        return;
    }
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = proxy.connect().await;
    let request = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let mut server = proxy.upstream.receive(&mut client, request).await;
    for _ in 0..3 {
        server.send(INTERIM.repeat(MAX_INTERIM) + FORBIDDEN).await;
        let head = client.head().await;
        assert_eq!((head.status(), client.body(&head).await), (403, b"no".to_vec()));
        client.send(request).await;
        server.head().await;
    }
    let (head, _) = tokio::join!(client.head(), flood(server));
    assert_eq!(head.status(), 502);
}

const TIMEOUT: Duration = Duration::from_millis(300);

async fn k7_slow_interim_responses_do_not_delay_the_timeout(inner: Inner) {
    let set = |layer: UpgradeProxyLayer| layer.handshake_timeout(TIMEOUT).header_timeout(TIMEOUT);
    let proxy = ScriptedProxy::start_with(inner, set).await;
    for kind in Kind::all(inner) {
        let start_time = Instant::now();
        let (sent, mut server) = kind.request(proxy.address, &proxy.upstream).await;
        let dripping = tokio::spawn(async move {
            while server.stream.write_all(INTERIM.as_bytes()).await.is_ok() {
                tokio::time::sleep(TIMEOUT / 20).await;
            }
        });
        assert_eq!(sent.head().await.status, 504, "{kind:?}");
        assert!(start_time.elapsed() >= TIMEOUT);
        bounded("the upstream to be dropped", dripping).await.unwrap();
    }
}

/// Header block with `:status: 103`.
const EARLY_HINTS: &[u8] = b"\x08\x03103";

/// Accepts a connection in HTTP/2 with the first request of `kind`.
async fn requested(
    proxy: &TestProxy,
    upstream: &ScriptedUpstream,
    kind: Kind,
) -> (crate::exchange::Sent, FrameConnection, u32) {
    let sent = kind.send(proxy.address).await;
    let mut connection = FrameConnection::accept(upstream, &[CONNECT_PROTOCOL]).await;
    let Frame::Headers { stream, .. } = connection.next().await else { panic!("no request") };
    (sent, connection, stream)
}

async fn k8_interim_responses_in_http2_above_the_limit_are_502_and_reset_the_stream(inner: Inner) {
    for kind in Kind::all(inner) {
        for above in [0, 1, 10_000] {
            let upstream = ScriptedUpstream::start().await;
            let layer = UpgradeProxyLayer::new(upstream.upstream().http2());
            let mut proxy = TestProxy::start(inner, layer).await;
            let (sent, mut connection, stream) = requested(&proxy, &upstream, kind).await;
            for _ in 0..MAX_INTERIM + above {
                connection.headers(stream, EARLY_HINTS).await;
            }
            if above == 0 {
                connection.headers(stream, b"\x8d").await;
                assert_eq!(sent.head().await.status, 404, "{kind:?}");
                continue;
            }
            assert_eq!(sent.head().await.status, 502, "{kind:?}");
            let error = proxy.error().await;
            assert!(error.to_string().ends_with("more than 32 interim responses came before it"), "{error}");
            loop {
                match connection.next().await {
                    Frame::Reset { stream: of, .. } if of == stream => break,
                    Frame::Data { .. } => {}
                    frame => panic!("{frame:?} instead of a reset"),
                }
            }
            // The connection serves other requests.
            let sent = kind.send(proxy.address).await;
            let Frame::Headers { stream, .. } = connection.next().await else { panic!("no request") };
            connection.headers(stream, b"\x8d").await;
            assert_eq!(sent.head().await.status, 404, "{kind:?}");
        }
    }
}

on_both![
    k7_interim_responses_above_the_limit_are_502,
    k7_endless_interim_responses_end_the_connection,
    k7_interim_responses_are_counted_for_each_request,
    k7_slow_interim_responses_do_not_delay_the_timeout,
    k8_interim_responses_in_http2_above_the_limit_are_502_and_reset_the_stream,
];
