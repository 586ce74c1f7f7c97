//! G. Faults during the handshake.

use std::time::{Duration, Instant};

use test_support::{
    Inner, ReservedPort, ScriptedProxy, ScriptedUpstream, Wire, bounded, handshake, ping_pong, serve,
    serve::serve_http1_with,
};
use tokio::io::AsyncWriteExt;
use tower_upgrade_proxy::{Drain, UpgradeProxyLayer};

use crate::{allocations::measure_proxy, head_size::MAX_HEAD_MEMORY};

const ORDINARY: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Returns the kinds of requests that are sent to the upstream.
fn requests(inner: Inner) -> Vec<String> {
    match inner {
        Inner::Application => vec![handshake("/")],
        Inner::Forward => vec![handshake("/"), ORDINARY.to_owned()],
    }
}

/// Requires `status`, and that the client's connection is still HTTP.
async fn expect_failure(proxy: &ScriptedProxy, client: &mut Wire, status: u16, case: &str) {
    let head = client.head().await;
    assert_eq!(head.status(), status, "{case}");
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(head.values(name).is_empty(), "{case}: {name}");
    }
    client.body(&head).await;
    assert!(client.buffered().is_empty(), "{case}");
    proxy.ordinary_request(client, "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
}

async fn g1_refused_upstream_connection_is_502(inner: Inner) {
    let closed = ReservedPort::new();
    let address = serve(inner.app(UpgradeProxyLayer::new(closed.uri().parse().unwrap()))).await;
    for request in requests(inner) {
        let mut client = Wire::connect(address).await;
        for _ in 0..2 {
            let head = client.request(&request).await;
            assert_eq!(head.status(), 502);
            client.body(&head).await;
        }
    }
}

async fn g1_upstream_reset_or_close_before_the_response_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for request in requests(inner) {
        for resets in [true, false] {
            for reads in [true, false] {
                let mut client = proxy.connect().await;
                client.send(&request).await;
                let mut server = proxy.upstream.accept().await;
                if reads {
                    server.head().await;
                }
                if resets {
                    server.reset();
                } else {
                    drop(server);
                }
                expect_failure(&proxy, &mut client, 502, "disconnected").await;
            }
        }
    }
}

async fn g1_garbage_from_the_upstream_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let garbage: [&[u8]; 8] = [
        b"\x16\x03\x01\x00\x00 what is this?\r\n\r\n",
        b"HTTP/2.0 101 Switching Protocols\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HTTP/1.1 1O1 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade : websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web\0socket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"\0\0\0\0",
    ];
    for request in requests(inner) {
        for garbage in garbage {
            let mut client = proxy.connect().await;
            let mut server = proxy.upstream.receive(&mut client, &request).await;
            server.send(garbage).await;
            let case = String::from_utf8_lossy(garbage);
            expect_failure(&proxy, &mut client, 502, &case).await;
            server.expect_end().await;
        }
    }
}

async fn g1_incomplete_head_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for request in requests(inner) {
        for half in ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso", "HTTP/1.1 200 OK\r\n", "HTT"] {
            let mut client = proxy.connect().await;
            let mut server = proxy.upstream.receive(&mut client, &request).await;
            server.send(half).await;
            server.finish().await;
            expect_failure(&proxy, &mut client, 502, half).await;
        }
    }
}

/// hyper accepts at most 100 fields.
async fn g1_head_with_too_many_fields_is_502(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for request in requests(inner) {
        for (fields, status) in [(100, 403), (101, 502), (5000, 502)] {
            let mut client = proxy.connect().await;
            let mut server = proxy.upstream.receive(&mut client, &request).await;
            let lines: String = (2..fields).map(|number| format!("X-{number}: v\r\n")).collect();
            let last = "Connection: close\r\nContent-Length: 0\r\n\r\n";
            server.send(format!("HTTP/1.1 403 Forbidden\r\n{lines}{last}")).await;
            expect_failure(&proxy, &mut client, status, &format!("{fields} fields")).await;
        }
    }
}

/// Maximum size of a head in hyper, and of the unread data in the buffers of the sockets.
const MAX_TAKEN: usize = 8 << 20;

async fn g1_endless_head_is_502_in_bounded_memory(inner: Inner) {
    let allocations = measure_proxy(inner, move |proxy, mut start| async move {
        proxy.tunnel().await;
        start.now().await;
        for request in requests(inner) {
            for rest in ["x".repeat(1 << 14), "X-Field: value\r\n".repeat(1 << 10)] {
                let mut client = proxy.connect().await;
                let mut server = proxy.upstream.receive(&mut client, &request).await;
                server.send("HTTP/1.1 101 Switching Protocols\r\nX-Endless: ").await;
                let mut taken = 0;
                while bounded("to send", server.stream.write_all(rest.as_bytes())).await.is_ok() {
                    taken += rest.len();
                }
                assert!(taken < MAX_TAKEN, "{taken} bytes");
                expect_failure(&proxy, &mut client, 502, "endless").await;
            }
        }
    });
    assert!(allocations.bytes_max < MAX_HEAD_MEMORY, "{allocations:?}");
}

/// Sets short timeouts for handshakes and for ordinary requests.
fn with_short_timeouts(layer: UpgradeProxyLayer) -> UpgradeProxyLayer {
    layer.handshake_timeout(TIMEOUT).header_timeout(TIMEOUT)
}

const TIMEOUT: Duration = Duration::from_millis(300);

async fn g2_silent_upstream_is_504_at_the_timeout(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, with_short_timeouts).await;
    for request in requests(inner) {
        let (mut client, start_time) = (proxy.connect().await, Instant::now());
        let mut server = proxy.upstream.receive(&mut client, &request).await;
        expect_failure(&proxy, &mut client, 504, "silent").await;
        assert!(start_time.elapsed() >= TIMEOUT);
        server.expect_end().await;
    }
}

async fn g2_dripping_upstream_is_504_at_the_timeout(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, with_short_timeouts).await;
    for request in requests(inner) {
        let (mut client, start_time) = (proxy.connect().await, Instant::now());
        let mut server = proxy.upstream.receive(&mut client, &request).await;
        let dripping = tokio::spawn(async move {
            server.send("HTTP/1.1 101 Switching Protocols\r\nX-Slow: ").await;
            while server.stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(TIMEOUT / 20).await;
            }
        });
        expect_failure(&proxy, &mut client, 504, "dripping").await;
        assert!(start_time.elapsed() >= TIMEOUT);
        bounded("the upstream to be dropped", dripping).await.unwrap();
    }
}

async fn g4_client_disconnect_during_the_handshake_releases_the_upstream(inner: Inner) {
    let drain = Drain::new();
    let watcher = drain.watcher();
    let proxy = ScriptedProxy::start_with(inner, |layer| layer.drain(watcher).max_handshakes(1)).await;
    for request in requests(inner) {
        for resets in [true, false] {
            let mut client = proxy.connect().await;
            let mut server = proxy.upstream.receive(&mut client, &request).await;
            server.send("HTTP/1.1 10").await;
            if resets {
                client.reset();
            } else {
                drop(client);
            }
            // Well before the handshake timeout.
            server.expect_end().await;
            assert_eq!(drain.active(), 0);
        }
    }
    // The handshake no longer counts towards the limit.
    let (mut client, mut server) = proxy.tunnel().await;
    ping_pong(&mut client, &mut server).await;
}

/// hyper stops reading while it has unread data, so it does not notice the disconnect.
async fn g4_client_disconnect_after_early_bytes_releases_the_upstream_at_the_timeout(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, with_short_timeouts).await;
    let start_time = Instant::now();
    let (client, mut server, _) = proxy.request(handshake("/") + "early").await;
    drop(client);
    server.expect_end().await;
    assert!(start_time.elapsed() >= TIMEOUT, "hyper notices the disconnect now");
}

async fn g9_dripping_request_is_closed_at_the_timeout_of_the_server(inner: Inner) {
    let upstream = ScriptedUpstream::start().await;
    let mut http1 = hyper::server::conn::http1::Builder::new();
    http1.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(TIMEOUT);
    let app = inner.app(UpgradeProxyLayer::new(upstream.upstream()));
    let address = serve_http1_with(http1, app).await;
    let proxy = ScriptedProxy { inner, upstream, address };
    let (mut other, mut server) = proxy.tunnel().await;
    let (mut slow, start_time) = (proxy.connect().await, Instant::now());
    let dripping = async {
        for byte in handshake("/").bytes().cycle() {
            if slow.stream.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(TIMEOUT / 20).await;
        }
    };
    bounded("the end", dripping).await;
    assert!(start_time.elapsed() >= TIMEOUT);
    proxy.upstream.expect_untouched().await;
    // A connection whose head has been read is not affected.
    ping_pong(&mut other, &mut server).await;
}

on_both![
    g1_refused_upstream_connection_is_502,
    g1_upstream_reset_or_close_before_the_response_is_502,
    g1_garbage_from_the_upstream_is_502,
    g1_incomplete_head_is_502,
    g1_head_with_too_many_fields_is_502,
    g1_endless_head_is_502_in_bounded_memory,
    g2_silent_upstream_is_504_at_the_timeout,
    g2_dripping_upstream_is_504_at_the_timeout,
    g4_client_disconnect_during_the_handshake_releases_the_upstream,
    g4_client_disconnect_after_early_bytes_releases_the_upstream_at_the_timeout,
    g9_dripping_request_is_closed_at_the_timeout_of_the_server,
];
