//! Forwarding fields of upgrades and ordinary requests.

use axum::{Router, extract::Request, middleware::map_request};
use test_support::{
    Head, SWITCHING, ScriptedUpstream, Wire, bounded, handshake, handshake_with, serve,
    serve::serve_with_peers,
};
use tokio::sync::mpsc;
use tower_upgrade_proxy::{
    Forwarded, ForwardedField, Host, PathRewrite, Peer, TunnelInfo, TunnelSummary, UpgradeProxyLayer,
};

const FORGED: &str = "X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\n\
    X-Forwarded-Host: forged.example\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
    Connection: X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, Forwarded\r\n";

/// Sends an upgrade and an ordinary request for `path`. Returns their heads as received by the upstream.
async fn both(app: Router, upstream: &ScriptedUpstream, path: &str) -> [Head; 2] {
    let address = serve_with_peers(app).await;
    let ordinary = format!("GET {path} HTTP/1.1\r\nHost: client.example\r\n\r\n");
    let mut heads = Vec::new();
    for request in [handshake(path), ordinary] {
        let mut client = Wire::connect(address).await;
        client.send(request.replacen("\r\n", &format!("\r\n{FORGED}"), 1)).await;
        heads.push(upstream.accept().await.head().await);
    }
    heads.try_into().unwrap()
}

fn one(value: &str) -> Vec<String> {
    vec![value.to_owned()]
}

#[tokio::test]
async fn nginx_preset_replaces_forged_fields() {
    let upstream = ScriptedUpstream::start().await;
    let location = UpgradeProxyLayer::new(upstream.upstream()).forwarded(Forwarded::nginx()).forward();
    for head in both(Router::new().fallback_service(location), &upstream, "/").await {
        assert_eq!(head.values("x-forwarded-for"), one("127.0.0.1"));
        assert_eq!(head.values("x-real-ip"), one("127.0.0.1"));
        assert_eq!(head.values("x-forwarded-proto"), one("http"));
        assert!(head.values("x_forwarded_for").is_empty());
        assert_eq!(head.values("x-forwarded-host"), one("forged.example"), "not a field of this preset");
    }
}

#[tokio::test]
async fn fields_of_a_trusted_peer_are_kept_unless_connection_names_them() {
    let upstream = ScriptedUpstream::start().await;
    let forwarded = Forwarded::all().trust(["127.0.0.0/8".parse().unwrap()]);
    let location = UpgradeProxyLayer::new(upstream.upstream()).forwarded(forwarded).forward();
    for head in both(Router::new().fallback_service(location), &upstream, "/").await {
        // Named by Connection: removed before the proxy added its own.
        assert_eq!(head.values("x-forwarded-for"), one("127.0.0.1"));
        assert_eq!(head.values("forwarded"), one("for=127.0.0.1;host=client.example;proto=http"));
        assert_eq!(head.values("x-forwarded-host"), one("forged.example"));
        assert_eq!(head.values("via"), one("1.1 tower-upgrade-proxy"));
        assert!(head.values("x-forwarded-prefix").is_empty());
    }
}

#[tokio::test]
async fn x_forwarded_host_is_the_requested_host_with_any_host_policy() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream())
        .host(Host::upstream())
        .forwarded(Forwarded::none().x_forwarded_host(ForwardedField::Replace));
    for head in both(Router::new().fallback_service(layer.forward()), &upstream, "/").await {
        assert_eq!(head.values("host"), one(&upstream.address.to_string()));
        assert_eq!(head.values("x-forwarded-host"), one("client.example"));
        assert_eq!(head.values("x_forwarded_for"), one("6.6.6.6"), "other fields are passed on");
    }
}

#[tokio::test]
async fn x_forwarded_prefix_is_the_prefix_removed_by_nest_or_strip_prefix() {
    let upstream = ScriptedUpstream::start().await;
    let layer = || {
        let forwarded = Forwarded::none().x_forwarded_prefix(ForwardedField::Append);
        UpgradeProxyLayer::new(upstream.upstream()).forwarded(forwarded)
    };
    let strip = |prefix| layer().path(PathRewrite::strip_prefix(prefix)).forward();
    let app = Router::new()
        .nest_service("/nested", layer().forward())
        .nest_service("/outer", strip("/inner"))
        .nest_service("/kept", layer().path(PathRewrite::original_uri()).forward())
        .fallback_service(strip("/stripped"));
    let cases = [
        ("/nested/x", "/x", vec!["/nested".to_owned()]),
        ("/nested", "/", vec!["/nested".to_owned()]),
        ("/outer/inner/x?q", "/x?q", vec!["/outer/inner".to_owned()]),
        ("/kept/x", "/kept/x", vec![]),
        ("/stripped/x", "/x", vec!["/stripped".to_owned()]),
        ("/untouched", "/untouched", vec![]),
    ];
    for (target, path, prefix) in cases {
        for head in both(app.clone(), &upstream, target).await {
            assert_eq!(head.first_line(), format!("GET {path} HTTP/1.1"), "{target}");
            assert_eq!(head.values("x-forwarded-prefix"), prefix, "{target}");
        }
    }
}

#[tokio::test]
async fn address_and_scheme_come_from_the_peer_extension() {
    let upstream = ScriptedUpstream::start().await;
    let peer = Peer::new("[2001:db8::7]:443".parse().unwrap()).https();
    let insert = map_request(move |mut request: Request| async move {
        request.extensions_mut().insert(peer);
        request
    });
    let location = UpgradeProxyLayer::new(upstream.upstream()).forwarded(Forwarded::all()).forward();
    for head in both(Router::new().fallback_service(location).layer(insert), &upstream, "/").await {
        assert_eq!(head.values("x-real-ip"), one("2001:db8::7"));
        assert_eq!(head.values("x-forwarded-proto"), one("https"));
        let element = r#"for="[2001:db8::7]";host=client.example;proto=https"#;
        assert_eq!(head.values("forwarded"), one(element));
    }
}

#[tokio::test]
async fn unknown_address_is_not_sent() {
    let upstream = ScriptedUpstream::start().await;
    let location = UpgradeProxyLayer::new(upstream.upstream()).forwarded(Forwarded::nginx()).forward();
    let address = serve(Router::new().fallback_service(location)).await;
    let mut client = Wire::connect(address).await;
    client.send(handshake("/").replacen("\r\n", &format!("\r\n{FORGED}"), 1)).await;
    let head = upstream.accept().await.head().await;
    assert!(head.values("x-forwarded-for").is_empty() && head.values("x-real-ip").is_empty());
    assert_eq!(head.values("x-forwarded-proto"), one("http"));
}

#[tokio::test]
async fn client_of_a_tunnel_is_the_peer_or_the_address_from_a_trusted_peer() {
    let trusting = Forwarded::none().trust(["127.0.0.0/8".parse().unwrap()]);
    let cases = [
        (trusting.clone(), "X-Forwarded-For: 192.0.2.1, 192.0.2.2", "192.0.2.2"),
        (trusting.clone(), "Forwarded: for=192.0.2.1, for=192.0.2.2", "192.0.2.2"),
        (trusting, "X-Real-IP: 192.0.2.1", "127.0.0.1"),
        (Forwarded::nginx(), "X-Forwarded-For: 192.0.2.1, 192.0.2.2", "127.0.0.1"),
    ];
    for (forwarded, line, client) in cases {
        let upstream = ScriptedUpstream::start().await;
        let (sender, mut ended) = mpsc::unbounded_channel();
        let layer = UpgradeProxyLayer::new(upstream.upstream())
            .forwarded(forwarded)
            .on_tunnel(move |tunnel: &TunnelInfo, _: &TunnelSummary| sender.send(tunnel.client()).unwrap());
        let mut wire = Wire::connect(serve_with_peers(Router::new().layer(layer)).await).await;
        wire.send(handshake_with("/", &[line])).await;
        let mut server = upstream.accept().await;
        server.head().await;
        server.send(SWITCHING).await;
        assert_eq!(wire.head().await.status(), 101, "{line}");
        drop((wire, server));
        let recorded = bounded("the end", ended.recv()).await.unwrap();
        assert_eq!(recorded, Some(client.parse().unwrap()), "{line}");
    }
}
