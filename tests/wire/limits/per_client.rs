//! `max_tunnels_per_client`.

use tower_upgrade_proxy::Forwarded;

use super::*;
use test_support::{http2::Client, serve::serve};

use crate::{events::Log, http2};

fn layer(upstream: &ScriptedUpstream, limit: usize) -> UpgradeProxyLayer {
    UpgradeProxyLayer::new(upstream.upstream()).max_tunnels_per_client(limit)
}

fn trusting_loopback() -> Forwarded {
    Forwarded::none().trust(["127.0.0.0/8".parse().unwrap()])
}

#[tokio::test]
async fn a_client_beyond_its_limit_gets_a_429_until_one_of_its_tunnels_has_ended() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream, 2)).await;
    let (one, other) = (from("192.0.2.1"), from("192.0.2.2"));
    let first = open(address, &upstream, &one).await;
    let _second = open(address, &upstream, &one).await;
    expect_refusal(address, &one, 429, "client_limit").await;
    upstream.expect_untouched().await;
    let _of_another = open(address, &upstream, &other).await;
    expect_refusal(address, &one, 429, "client_limit").await;
    drop(first);
    let _again = until_admitted(address, &upstream, &one).await;
    expect_refusal(address, &one, 429, "client_limit").await;
}

#[tokio::test]
async fn clients_are_counted_by_ipv4_address_or_by_64_bits_of_an_ipv6_address() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream, 1)).await;
    let mut held = Vec::new();
    let cases = [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:192.0.2.2", "192.0.2.2"),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"),
        ("2001:db8:0:2::1", "2001:db8:0:2::2"),
    ];
    for (one, same) in cases {
        held.push(open(address, &upstream, &from(one)).await);
        expect_refusal(address, &from(same), 429, "client_limit").await;
    }
}

#[tokio::test]
async fn a_failed_or_abandoned_handshake_releases_its_permit() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream, 1)).await;
    expect_release(address, &upstream, 429, "client_limit").await;
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_counted_separately() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream, 1).forwarded(trusting_loopback())).await;
    let behind = |list| handshake_with("/", &[&format!("X-Forwarded-For: {list}")]);
    let _one = open(address, &upstream, &behind("192.0.2.1")).await;
    let _two = open(address, &upstream, &behind("192.0.2.2")).await;
    for list in ["192.0.2.1", "6.6.6.6, 192.0.2.1", "192.0.2.1, 127.0.0.5", "192.0.2.2:80"] {
        expect_refusal(address, &behind(list), 429, "client_limit").await;
    }
    // Without a known address, the client is counted as the proxy.
    let _unknown = open(address, &upstream, &behind("192.0.2.3, unknown")).await;
    expect_refusal(address, &handshake("/"), 429, "client_limit").await;
}

#[tokio::test]
async fn an_untrusted_peer_is_counted_by_its_own_address() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream, 1).forwarded(trusting_loopback())).await;
    let claiming = |line| handshake_with("/", &["X-Peer: 198.51.100.1", line]);
    let _held = open(address, &upstream, &from("198.51.100.1")).await;
    for line in ["X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1", "Forwarded: for=192.0.2.1"] {
        expect_refusal(address, &claiming(line), 429, "client_limit").await;
    }
    let _named = open(address, &upstream, &handshake_with("/", &["X-Forwarded-For: 192.0.2.1"])).await;
}

#[tokio::test]
async fn clients_without_a_known_address_count_as_one_which_is_one_warning() {
    let log = Log::default();
    let _guard = log.capture();
    let upstream = ScriptedUpstream::start().await;
    let layer = layer(&upstream, 2).forwarded(Forwarded::nginx());
    let app = Router::new().fallback(describe).layer(layer).layer(map_response(add_reason));
    let address = serve(app).await;
    let first = open(address, &upstream, &handshake("/")).await;
    let _second = open(address, &upstream, &handshake("/")).await;
    expect_refusal(address, &handshake("/"), 429, "client_limit").await;
    drop(first);
    let _again = until_admitted(address, &upstream, &handshake("/")).await;
    for setting in ["`max_tunnels_per_client` counts", "`X-Real-IP` are not set"] {
        let line = log.line(setting);
        assert!(line.contains("WARN") && line.contains("into_make_service_with_connect_info"), "{line}");
    }
}

#[tokio::test]
async fn a_peer_without_an_address_is_counted_without_a_warning() {
    let log = Log::default();
    let _guard = log.capture();
    let upstream = ScriptedUpstream::start().await;
    let on_unix_socket = map_request(async |mut request: Request| {
        request.extensions_mut().insert(Peer::unknown());
        request
    });
    let app = |layer: UpgradeProxyLayer| {
        let app = Router::new().fallback(describe).layer(layer).layer(on_unix_socket.clone());
        serve(app.layer(map_response(add_reason)))
    };
    let address = app(layer(&upstream, 1).forwarded(Forwarded::nginx())).await;
    let _held = open(address, &upstream, &handshake("/")).await;
    expect_refusal(address, &handshake("/"), 429, "client_limit").await;
    log.expect_none("is unknown");

    let trusted = Forwarded::nginx().trust_unix_sockets();
    let address = app(layer(&upstream, 1).forwarded(trusted)).await;
    let behind = |client| handshake_with("/", &[&format!("X-Forwarded-For: {client}")]);
    let _one = open(address, &upstream, &behind("192.0.2.1")).await;
    let _other = open(address, &upstream, &behind("192.0.2.2")).await;
    expect_refusal(address, &behind("192.0.2.2"), 429, "client_limit").await;
}

#[tokio::test]
async fn streams_of_one_connection_belong_to_one_client() {
    let upstream = ScriptedUpstream::start().await;
    let address = limited(layer(&upstream, 1)).await;
    let mut client = Client::connect(address).await;
    let pending = tokio::spawn({
        let mut client = client.clone();
        async move { http2::send(&mut client, http2::extended("websocket")).await }
    });
    let mut server = upstream.accept().await;
    server.head().await;
    let refused = http2::send(&mut client, http2::extended("websocket")).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
    // Resets its stream.
    pending.abort();
    server.rest().await;
    until_admitted(address, &upstream, &handshake("/")).await;
}
