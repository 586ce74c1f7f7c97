//! F. Request targets.

use axum::Router;
use test_support::{Head, Inner, ScriptedProxy, ScriptedUpstream, Wire, handshake, serve};
use tower_upgrade_proxy::{Forward, PathRewrite, Protocols, UpgradeProxyLayer, Upstream};

use crate::hop_by_hop::get_with;

/// Returns the head of a handshake for `target` as received by the upstream, and that of an ordinary request
/// if the proxy forwards it.
async fn received(proxy: &ScriptedProxy, target: &str) -> Vec<Head> {
    let (_, _, upgrade) = proxy.request(handshake(target)).await;
    let mut heads = vec![upgrade];
    if proxy.inner == Inner::Forward {
        heads.push(proxy.request(get_with(target, &["X-Kept: 1"])).await.2);
    }
    heads
}

async fn f1_absolute_target_goes_to_the_configured_upstream(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let other_server = ScriptedUpstream::start().await;
    let other = other_server.address;
    let targets = [
        (format!("http://{other}/x?y=%2F"), "/x?y=%2F"),
        (format!("HTTP://{other}//x"), "//x"),
        (format!("https://{other}/../x"), "/../x"),
        (format!("ws://{other}/x"), "/x"),
        (format!("http://{other}"), "/"),
        (format!("http://{other}?q"), "/?q"),
    ];
    for (target, path) in targets {
        for head in received(&proxy, &target).await {
            assert_eq!(head.first_line(), format!("GET {path} HTTP/1.1"), "{target}");
            assert_eq!(head.values("host"), [other.to_string()], "{target}");
        }
    }
    other_server.expect_untouched().await;
}

const UNUSUAL: [&str; 12] = [
    "//evil/x",
    "///evil/x",
    "/@evil/x",
    "/:80@evil/",
    "/../",
    "/%2e%2e/",
    "/..%2f..%5cx",
    "/\\evil\\x",
    "/?http://evil/",
    "/http://evil/",
    "/a%0d%0aX:%20y%00",
    "/;x=1/.//./x?a?b&c=%zz",
];

async fn f1_unusual_path_is_passed_on_unchanged(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for target in UNUSUAL {
        for head in received(&proxy, target).await {
            assert_eq!(head.first_line(), format!("GET {target} HTTP/1.1"));
            assert_eq!(head.values("host"), ["client.example"]);
            assert!(head.values("x").is_empty());
        }
    }
    for head in received(&proxy, "/x#fragment").await {
        assert_eq!(head.first_line(), "GET /x HTTP/1.1");
    }
}

async fn f1_no_path_escapes_the_base_path(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let based: Upstream = format!("{}/base", proxy.upstream.uri()).parse().unwrap();
    let below = ScriptedProxy::start_with(inner, |layer| layer.upstream(based)).await;
    let below = ScriptedProxy { upstream: proxy.upstream, ..below };
    for target in UNUSUAL {
        let escapes = target.contains("..") || target.to_ascii_lowercase().contains("%2e%2e");
        if escapes {
            below.expect_refusal(handshake(target), 400).await;
        } else {
            for head in received(&below, target).await {
                assert_eq!(head.first_line(), format!("GET /base{target} HTTP/1.1"));
            }
        }
    }
}

async fn f1_target_without_a_path_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for target in ["*", "evil:80", "evil", "?x", "@evil", "/caf\u{e9}", "http:///x", "http://[::1/x"] {
        proxy.expect_refusal(handshake(target), 400).await;
        if inner == Inner::Forward {
            proxy.expect_refusal(get_with(target, &["X-Kept: 1"]), 400).await;
            proxy.expect_refusal(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400).await;
        }
    }
}

/// Requires that a handshake for `target` is a 400, and so is an ordinary request if the proxy forwards it.
async fn expect_400(proxy: &ScriptedProxy, target: &str) {
    proxy.expect_refusal(handshake(target), 400).await;
    let status = if proxy.inner == Inner::Forward { 400 } else { 200 };
    proxy.expect_refusal(get_with(target, &["X-Kept: 1"]), status).await;
}

/// Valid URIs for the `http` crate, without a valid host.
pub(crate) const INVALID_AUTHORITIES: [&str; 11] = [
    "c.example:80x",
    "c.example:99999",
    "c.example:-1",
    ":80",
    "[zz]",
    "[1.2.3.4]",
    "[fe80::1%25eth0]",
    "[::1]x",
    "a[b]",
    "user@c.example",
    "user:secret@c.example:80",
];

async fn f3_target_with_an_invalid_authority_is_400(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for authority in INVALID_AUTHORITIES {
        expect_400(&proxy, &format!("http://{authority}/")).await;
    }
}

async fn f3_valid_authority_of_a_target_is_the_host(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for authority in ["c.example:", "C_d.example:080", "[::1]:9000", "[v1.a:b]", "a!$&'()*+,;=b~c:65535"] {
        for head in received(&proxy, &format!("http://{authority}/x")).await {
            assert_eq!(head.first_line(), "GET /x HTTP/1.1");
            assert_eq!(head.values("host"), [authority]);
        }
    }
}

async fn f3_percent_encoded_authority_is_400_before_the_layer(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    for request in [handshake("http://%2Frun%2Fa.sock/"), get_with("http://%2Frun%2Fa.sock/", &["X-Kept: 1"])]
    {
        proxy.expect_refusal(request, 400).await;
    }
}

/// Paths that lead above their start for some servers.
const ESCAPING: [&str; 17] = [
    "/..",
    "/..%2fx",
    "/..\\x",
    "/..%5cx",
    "/..;/x",
    "/..%3b/x",
    "/..%3Ba=b/x",
    "/%252e%252e/x",
    "/..%252fx",
    "/..%25255cx",
    "/%%32e./x",
    "/%c0%ae%c0%ae/x",
    "/..%c0%afx",
    "/%25e0%2580%25ae./x",
    "/a/..%252f../x",
    "/..%00/x",
    "/..%3fx",
];

/// Paths that do not, for any server.
const STAYING: [&str; 11] = [
    "/a/../x",
    "/a%2f..%2fx",
    "/a;b=c/",
    "/a;v=1..2/b;/c",
    "/%2525",
    "/..foo",
    "/.../x",
    "/x/%2e",
    "/x/..%3by/z",
    "/%c3%a9/%c0",
    "/https://a.example/;/..x",
];

async fn f4_path_that_may_escape_its_base_path_or_prefix_is_400(inner: Inner) {
    let upstream = ScriptedUpstream::start().await;
    let based: Upstream = format!("{}/base", upstream.uri()).parse().unwrap();
    let mut proxy = ScriptedProxy::start_with(inner, |layer| layer.upstream(based)).await;
    proxy.upstream = upstream;
    for path in ESCAPING {
        expect_400(&proxy, path).await;
    }
    for path in STAYING {
        for head in received(&proxy, path).await {
            assert_eq!(head.first_line(), format!("GET /base{path} HTTP/1.1"));
        }
    }
    let replace = PathRewrite::replace_prefix("/ws", "/a/b");
    for (policy, above) in [(PathRewrite::strip_prefix("/ws"), ""), (replace, "/a/b")] {
        let proxy = ScriptedProxy::start_with(inner, |layer| layer.path(policy)).await;
        for path in ESCAPING {
            expect_400(&proxy, &format!("/ws{path}")).await;
        }
        for path in STAYING {
            for head in received(&proxy, &format!("/ws{path}")).await {
                assert_eq!(head.first_line(), format!("GET {above}{path} HTTP/1.1"));
            }
        }
    }
}

async fn f4_path_that_may_escape_a_nested_prefix_is_400(inner: Inner) {
    for (policy, above) in [(PathRewrite::keep(), ""), (PathRewrite::original_uri(), "/api/ws")] {
        let nest = async |app: Router| serve(Router::new().nest_service("/api/ws", app)).await;
        let proxy = ScriptedProxy::start_on(inner, |layer| layer.path(policy), nest).await;
        for path in ESCAPING {
            expect_400(&proxy, &format!("/api/ws{path}")).await;
        }
        for path in STAYING {
            for head in received(&proxy, &format!("/api/ws{path}")).await {
                assert_eq!(head.first_line(), format!("GET {above}{path} HTTP/1.1"));
            }
        }
    }
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn connects() -> [String; 5] {
    [
        "CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n".to_owned(),
        "CONNECT evil:80 HTTP/1.0\r\n\r\n".to_owned(),
        "CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\nConnection: keep-alive\r\n\r\n".to_owned(),
        handshake("evil:80").replacen("GET", "CONNECT", 1),
        handshake("evil:80").replacen("GET", "CONNECT", 1).replace("websocket", "foo"),
    ]
}

/// Requires `status` and the end of the connection, and that no further request was parsed.
async fn expect_end_after(client: &mut Wire, status: u16, case: &str) {
    let head = client.head().await;
    assert_eq!(head.status(), status, "{case}");
    let tokens = head.values("connection").join(", ");
    assert_eq!(tokens.matches("close").count(), 1, "{case}: {tokens}");
    client.body(&head).await;
    client.expect_end().await;
}

async fn f2_refused_connect_closes_the_connection(inner: Inner) {
    let any = ScriptedProxy::start_with(inner, |layer| layer.protocols(Protocols::any())).await;
    for proxy in [ScriptedProxy::start(inner).await, any] {
        for request in connects() {
            let mut client = proxy.connect().await;
            client.send(format!("{request}{SMUGGLED}")).await;
            expect_end_after(&mut client, 405, &request).await;
            proxy.upstream.expect_untouched().await;
        }
    }
}

#[tokio::test]
async fn f2_refused_connect_closes_the_connection_for_other_services() {
    let upstream = ScriptedUpstream::start().await;
    let forward = Forward::new(upstream.upstream());
    let only = UpgradeProxyLayer::new(upstream.upstream()).into_service();
    let custom = UpgradeProxyLayer::new(upstream.upstream())
        .error_response(|error| {
            let mut response = http::Response::new("custom");
            *response.status_mut() = error.status();
            response
        })
        .forward();
    let apps = [
        (serve(Router::new().fallback_service(forward)).await, 405),
        (serve(Router::new().fallback_service(only)).await, 426),
        (serve(Router::new().fallback_service(custom)).await, 405),
    ];
    for (address, status) in apps {
        for request in connects() {
            let mut client = Wire::connect(address).await;
            client.send(format!("{request}{SMUGGLED}")).await;
            expect_end_after(&mut client, status, &request).await;
        }
    }
    upstream.expect_untouched().await;
}

on_both![
    f1_absolute_target_goes_to_the_configured_upstream,
    f1_unusual_path_is_passed_on_unchanged,
    f1_no_path_escapes_the_base_path,
    f1_target_without_a_path_is_400,
    f3_target_with_an_invalid_authority_is_400,
    f3_valid_authority_of_a_target_is_the_host,
    f3_percent_encoded_authority_is_400_before_the_layer,
    f4_path_that_may_escape_its_base_path_or_prefix_is_400,
    f4_path_that_may_escape_a_nested_prefix_is_400,
    f2_refused_connect_closes_the_connection,
];
