//! D. Field values that are passed on unchanged, and forwarding fields that must not be trusted.

use axum::Router;
use hyper::server::conn::http1;
use test_support::{
    Head, Inner, SWITCHING, ScriptedProxy, handshake, ping_pong,
    serve::{serve_http1_with, serve_with_peers},
};
use tower_upgrade_proxy::{Forwarded, ForwardedField};

use crate::hop_by_hop::{get_with, received};

async fn d5_origin_cookie_and_authorization_are_unchanged(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let lines = [
        "Origin: https://Evil.example:8443",
        "Cookie: a=1; b=\"x, y\"",
        "Cookie: c=3",
        "Authorization: Bearer a.B-c_d~e+f/==",
    ];
    for head in received(&proxy, "/", &lines).await {
        assert_eq!(head.values("origin"), ["https://Evil.example:8443"]);
        assert_eq!(head.values("cookie"), ["a=1; b=\"x, y\"", "c=3"]);
        assert_eq!(head.values("authorization"), ["Bearer a.B-c_d~e+f/=="]);
    }
}

/// Returns a handshake and an ordinary request, both with `lines`.
fn both_with(lines: &[u8]) -> [Vec<u8>; 2] {
    [handshake("/"), get_with("/", &["X-Kept: 1"])].map(|head| {
        let head = head.strip_suffix("\r\n").unwrap();
        [head.as_bytes(), lines, b"\r\n"].concat()
    })
}

/// Sends both requests and returns their heads as received by the upstream or the application.
async fn both_received(proxy: &ScriptedProxy, lines: &[u8]) -> [Head; 2] {
    let [upgrade, ordinary] = both_with(lines);
    let (_, _, upgrade) = proxy.request(upgrade).await;
    [upgrade, proxy.ordinary_request(&mut proxy.connect().await, ordinary).await]
}

async fn d6_values_are_passed_on_as_bytes(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let raw: Vec<u8> = (0x80..=0xff).collect();
    let mut lines = b"X-Latin: caf\xe9\r\nX-Raw: ".to_vec();
    lines.extend(&raw);
    lines.extend(b"\r\nX-Tab: a\tb\r\nX-Empty:\r\nUser-Agent: \xff\xfe\r\nOrigin: \xc3\xa9\r\n");
    for head in both_received(&proxy, &lines).await {
        assert_eq!(head.values("x-latin"), ["caf\u{e9}"]);
        let raw: Vec<u8> = [b"x-raw: ", raw.as_slice(), b"\r\n"].concat();
        assert!(head.raw.windows(raw.len()).any(|window| window == raw), "{}", head.text());
        assert_eq!(head.values("x-tab"), ["a\tb"]);
        assert_eq!(head.values("x-empty"), [""]);
        assert_eq!(head.values("user-agent"), ["\u{ff}\u{fe}"]);
    }
    // The same for the response.
    let fields = [b"\r\nX-Raw: \xe9", raw.as_slice(), b"\r\nSet-Cookie: \xff\r\n\r\n"].concat();
    let response = [SWITCHING.strip_suffix("\r\n\r\n").unwrap().as_bytes(), &fields].concat();
    let (head, mut client, mut server) = proxy.respond(response).await;
    assert_eq!((head.status(), head.values("set-cookie")), (101, vec!["\u{ff}".to_owned()]));
    assert_eq!(head.values("x-raw")[0].chars().count(), 129);
    ping_pong(&mut client, &mut server).await;
}

async fn d6_bytes_in_fields_read_by_the_proxy_do_not_panic(inner: Inner) {
    let proxy = ScriptedProxy::start_with(inner, |layer| layer.forwarded(Forwarded::all())).await;
    let lines = [
        &b"Connection: \xff, X-\xe9, \xe9\r\n"[..],
        b"X-Forwarded-For: \xff\r\nForwarded: for=\"\xe9\r\nVia: \xff\r\n",
        b"Sec-WebSocket-Protocol: \xff, chat\r\n",
        b"Upgrade: \xff\r\n",
        b"TE: \xff\r\nTrailer: \xff\r\nHTTP2-Settings: \xff\r\n",
    ];
    for lines in lines {
        let [upgrade, _] = both_with(lines);
        let (mut client, mut server, _) = proxy.request(upgrade).await;
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
        ping_pong(&mut client, &mut server).await;
        proxy.expect_http(&mut proxy.connect().await).await;
    }
    for line in [&b"Host: \xff\r\n"[..], b"Sec-WebSocket-Key: \xff\r\n", b"Transfer-Encoding: \xff\r\n"] {
        let [upgrade, _] = both_with(line);
        proxy.expect_refusal(upgrade, 400).await;
    }
}

async fn d6_value_of_60_kib_is_passed_on(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let long = "v".repeat(60 * 1024);
    for head in both_received(&proxy, format!("X-Long: {long}\r\n").as_bytes()).await {
        assert!(head.values("x-long") == [long.as_str()]);
    }
}

fn numbered(fields: usize) -> String {
    (0..fields).map(|n| format!("X-{n}: {n}\r\n")).collect()
}

async fn d6_200_fields_are_431_unless_the_server_allows_them(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for request in both_with(numbered(200).as_bytes()) {
        proxy.expect_refusal(request, 431).await;
    }
    let mut server = http1::Builder::new();
    server.max_headers(300);
    let proxy = ScriptedProxy::start_on(
        inner,
        |layer| layer,
        async |app: Router| serve_http1_with(server, app).await,
    )
    .await;
    for head in both_received(&proxy, numbered(200).as_bytes()).await {
        for n in 0..200 {
            assert_eq!(head.values(&format!("x-{n}")), [n.to_string()]);
        }
    }
}

const FORGED: [&str; 6] = [
    "X_Forwarded_For: 6.6.6.6",
    "X-Forwarded_For: 6.6.6.6",
    "x_real_ip: 6.6.6.6",
    "X_FORWARDED_PROTO: https",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-For: 192.0.2.2, 192.0.2.3",
];

async fn d7_forwarding_fields_of_untrusted_peers_are_removed_in_any_spelling(inner: Inner) {
    let nginx = |layer: tower_upgrade_proxy::UpgradeProxyLayer| layer.forwarded(Forwarded::nginx());
    let proxy = ScriptedProxy::start_on(inner, nginx, serve_with_peers).await;
    for head in received(&proxy, "/", &FORGED).await {
        assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(head.values("x-real-ip"), ["127.0.0.1"]);
        assert_eq!(head.values("x-forwarded-proto"), ["http"]);
        assert!(!head.text().contains('_') && !head.text().contains("6.6.6.6"), "{}", head.text());
    }
    let remove = Forwarded::none().x_forwarded_for(ForwardedField::Remove);
    let proxy = ScriptedProxy::start_on(inner, |layer| layer.forwarded(remove), serve_with_peers).await;
    for head in received(&proxy, "/", &FORGED).await {
        assert!(!head.text().to_ascii_lowercase().replace('_', "-").contains("x-forwarded-for"));
        assert_eq!(head.values("x_real_ip"), ["6.6.6.6"], "not a field of this policy");
    }
}

async fn d7_forwarding_fields_of_trusted_peers_are_kept_in_order(inner: Inner) {
    let trusting = Forwarded::nginx().trust(["127.0.0.0/8".parse().unwrap()]);
    let proxy = ScriptedProxy::start_on(inner, |layer| layer.forwarded(trusting), serve_with_peers).await;
    for head in received(&proxy, "/", &FORGED).await {
        assert_eq!(head.values("x-forwarded-for"), ["192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"]);
    }
}

async fn d7_forwarding_fields_pass_without_a_policy(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for head in received(&proxy, "/", &FORGED).await {
        assert_eq!(head.values("x-forwarded-for"), ["192.0.2.1", "192.0.2.2, 192.0.2.3"]);
        assert_eq!(head.values("x_forwarded_for"), ["6.6.6.6"]);
    }
}

on_both![
    d5_origin_cookie_and_authorization_are_unchanged,
    d6_values_are_passed_on_as_bytes,
    d6_bytes_in_fields_read_by_the_proxy_do_not_panic,
    d6_value_of_60_kib_is_passed_on,
    d6_200_fields_are_431_unless_the_server_allows_them,
    d7_forwarding_fields_of_untrusted_peers_are_removed_in_any_spelling,
    d7_forwarding_fields_of_trusted_peers_are_kept_in_order,
    d7_forwarding_fields_pass_without_a_policy,
];
