//! D. The client's address and scheme, and the fields that middleware has set: not the client's to choose.

use std::net::SocketAddr;

use axum::{Router, middleware::map_request};
use http::{HeaderName, HeaderValue, Request};
use test_support::{
    Head, Inner, SWITCHING, ScriptedProxy, handshake_with,
    http2::Client,
    ping_pong,
    serve::{serve, serve_with_peers},
};
use tower::ServiceBuilder;
use tower_http::set_header::SetRequestHeaderLayer;
use tower_upgrade_proxy::{Forwarded, Peer, SanitizeRequestLayer};

use crate::hop_by_hop::{get_with, received};

const USER: HeaderName = HeaderName::from_static("x-user");

/// Returns the heads of an upgrade and an ordinary request in both versions of HTTP, as received by the upstream, for a
/// target with this scheme.
async fn received_for_scheme(proxy: &ScriptedProxy, scheme: &str) -> Vec<Head> {
    let absolute = |request: String| request.replacen(" / ", &format!(" {scheme}://client.example/ "), 1);
    let mut heads = vec![proxy.request(absolute(handshake_with("/", &[]))).await.2];
    let mut requests = vec![("CONNECT", true)];
    if proxy.inner == Inner::Forward {
        heads.push(proxy.request(absolute(get_with("/", &["X-Kept: 1"]))).await.2);
        requests.push(("GET", false));
    }
    for (method, is_upgrade) in requests {
        let mut client = Client::connect(proxy.address).await;
        let uri = format!("{scheme}://client.example/");
        let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
        if is_upgrade {
            request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        }
        let _pending = client.send_request(request, !is_upgrade);
        heads.push(proxy.upstream.accept().await.head().await);
    }
    heads
}

/// Serves requests with `peer` as their peer.
async fn serve_as(peer: Peer, app: Router) -> SocketAddr {
    let insert = map_request(move |mut request: axum::extract::Request| async move {
        request.extensions_mut().insert(peer);
        request
    });
    serve(app.layer(insert)).await
}

async fn d11_scheme_of_the_target_is_not_believed(inner: Inner) {
    let peer = Peer::new("192.0.2.1:5".parse().unwrap());
    for (claimed, expected) in [("https", "http"), ("http", "http"), ("http", "https")] {
        let all = |layer: tower_upgrade_proxy::UpgradeProxyLayer| layer.forwarded(Forwarded::all());
        let mut proxies = vec![match expected {
            "https" => {
                ScriptedProxy::start_on(inner, all, async |app| serve_as(peer.https(), app).await).await
            }
            _ => ScriptedProxy::start_on(inner, all, async |app| serve_as(peer, app).await).await,
        }];
        if expected == "http" {
            proxies.push(ScriptedProxy::start_on(inner, all, serve_with_peers).await);
            proxies.push(ScriptedProxy::start_on(inner, all, serve).await);
        }
        for proxy in proxies {
            for head in received_for_scheme(&proxy, claimed).await {
                assert_eq!(head.values("x-forwarded-proto"), [expected], "{claimed}: {}", head.text());
                let elements = head.values("forwarded");
                assert!(elements[0].ends_with(&format!("proto={expected}")), "{elements:?}");
            }
        }
    }
}

async fn d12_valid_fields_of_a_trusted_peer_are_kept(inner: Inner) {
    let trusting = || Forwarded::nginx().trust(["127.0.0.0/8".parse().unwrap()]);
    let proxy = ScriptedProxy::start_on(inner, |layer| layer.forwarded(trusting()), serve_with_peers).await;
    // The lines of the peer; expected X-Forwarded-For, X-Real-IP and X-Forwarded-Proto.
    let table: [(&[&str], [&str; 3]); 9] = [
        (
            &["X-Forwarded-For: 192.0.2.7", "X-Real-IP: 192.0.2.7", "X-Forwarded-Proto: https"],
            ["192.0.2.7, 127.0.0.1", "192.0.2.7", "https"],
        ),
        // A peer that passes on an X-Real-IP that the client has sent.
        (
            &["X-Forwarded-For: 6.6.6.6, 192.0.2.7", "X-Real-IP: 6.6.6.6"],
            ["6.6.6.6, 192.0.2.7, 127.0.0.1", "192.0.2.7", "http"],
        ),
        (&["X-Real-IP: 192.0.2.7"], ["127.0.0.1", "192.0.2.7", "http"]),
        // Lists of a client, passed on by a peer that sends X-Real-IP only.
        (&["X-Forwarded-For: unknown", "X-Real-IP: 192.0.2.7"], ["unknown, 127.0.0.1", "192.0.2.7", "http"]),
        (&["Forwarded: x", "X-Real-IP: 192.0.2.7"], ["127.0.0.1", "192.0.2.7", "http"]),
        (
            &["Forwarded: for=6.6.6.6;proto=http, for=192.0.2.7;proto=https"],
            ["192.0.2.7, 127.0.0.1", "192.0.2.7", "https"],
        ),
        (&["X-Forwarded-Proto: javascript", "X-Real-IP: x"], ["127.0.0.1", "127.0.0.1", "http"]),
        (&["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], ["127.0.0.1", "127.0.0.1", "https"]),
        (
            &["X_Forwarded_For: 6.6.6.6", "X-Real_IP: 6.6.6.6", "X_Forwarded_Proto: https"],
            ["127.0.0.1", "127.0.0.1", "http"],
        ),
    ];
    for (lines, expected) in table {
        for head in received(&proxy, "/", lines).await {
            for (name, value) in ["x-forwarded-for", "x-real-ip", "x-forwarded-proto"].iter().zip(expected) {
                assert_eq!(head.values(name), [value], "{lines:?}: {}", head.text());
            }
            assert!(!head.text().contains('_'), "{}", head.text());
        }
    }
}

async fn d14_fields_of_a_client_without_an_address_are_removed(inner: Inner) {
    let lines =
        ["X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6", "X-Forwarded-Proto: https", "X_Real_IP: 6.6.6.6"];
    // Unix sockets are trusted only by name.
    let trusting_all = Forwarded::nginx().trust(["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()));
    let set = |layer: tower_upgrade_proxy::UpgradeProxyLayer| layer.forwarded(trusting_all.clone());
    let unknown = ScriptedProxy::start_on(inner, set, serve).await;
    let unix = ScriptedProxy::start_on(inner, set, async |app| serve_as(Peer::unknown(), app).await).await;
    for proxy in [unknown, unix] {
        for head in received(&proxy, "/", &lines).await {
            assert!(!head.text().contains("6.6.6.6"), "{}", head.text());
            assert_eq!(head.values("x-forwarded-proto"), ["http"]);
        }
    }
}

/// Serves `app` behind middleware that sets the user, with `layer` around both.
async fn serve_with_user(layer: SanitizeRequestLayer, app: Router) -> SocketAddr {
    let user = SetRequestHeaderLayer::overriding(USER, HeaderValue::from_static("guest"));
    serve(app.layer(ServiceBuilder::new().layer(layer).layer(user))).await
}

async fn d13_fields_of_middleware_are_not_the_client_s_to_remove_or_imitate(inner: Inner) {
    let strict = SanitizeRequestLayer::new();
    let lenient = strict.clone().allow_all_names().remove(["x-user"]).unwrap();
    for layer in [strict, lenient] {
        let proxy =
            ScriptedProxy::start_on(inner, |layer| layer, async |app| serve_with_user(layer, app).await)
                .await;
        let lines = [
            "Connection: keep-alive, X-User, x_user, X-Own",
            "X_User: admin",
            "X-User: admin",
            "X.User: admin",
            "X-Own: 1",
        ];
        let mut heads = received(&proxy, "/", &lines).await;
        // Without `Connection`, which HTTP/2 does not have.
        heads.extend(received(&proxy, "/", &lines[1..4]).await);
        let mut requests = vec![extended_connect()];
        if inner == Inner::Forward {
            requests.push(Request::get("http://client.example/"));
        }
        for mut request in requests {
            for name in ["x_user", "x-user", "x.user"] {
                request = request.header(name, "admin");
            }
            let mut client = Client::connect(proxy.address).await;
            let _pending = client.send_request(request.body(()).unwrap(), false);
            heads.push(proxy.upstream.accept().await.head().await);
        }
        for head in heads {
            assert_eq!(head.values("x-user"), ["guest"], "{}", head.text());
            assert!(!head.text().contains("admin"), "{}", head.text());
            assert!(head.values("x-own").is_empty(), "{}", head.text());
        }
        // The request is still an upgrade, and the connection works.
        let (mut client, mut server, _) = proxy.request(handshake_with("/", &lines)).await;
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
        ping_pong(&mut client, &mut server).await;
    }
}

fn extended_connect() -> http::request::Builder {
    Request::connect("http://client.example/").extension(h2::ext::Protocol::from_static("websocket"))
}

on_both![
    d13_fields_of_middleware_are_not_the_client_s_to_remove_or_imitate,
    d11_scheme_of_the_target_is_not_believed,
    d12_valid_fields_of_a_trusted_peer_are_kept,
    d14_fields_of_a_client_without_an_address_are_removed,
];
