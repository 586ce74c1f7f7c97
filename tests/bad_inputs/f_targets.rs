//! F. Targets.

use axum::Router;
use tower_upgrade_proxy::{Forward, Protocols, UpgradeProxyLayer, Upstream};

use crate::{
    d_connection::get_with,
    stage::{Served, Stage},
    support::{Head, Scripted, Wire, handshake, serve},
};

/// What the upstream gets when `target` is asked for; from a whole location, of an ordinary request too.
async fn seen(stage: &Stage, target: &str) -> Vec<Head> {
    let (_, _, upgrade) = stage.asked(handshake(target)).await;
    let mut heads = vec![upgrade];
    if stage.served == Served::Location {
        heads.push(stage.asked(get_with(target, &["X-Kept: 1"])).await.2);
    }
    heads
}

async fn f1_an_absolute_target_goes_to_the_configured_upstream(served: Served) {
    let stage = served.stage().await;
    let elsewhere = Scripted::start().await;
    let other = elsewhere.address;
    let targets = [
        (format!("http://{other}/x?y=%2F"), "/x?y=%2F"),
        (format!("http://user:pw@{other}/x"), "/x"),
        (format!("HTTP://{other}//x"), "//x"),
        (format!("https://{other}/../x"), "/../x"),
        (format!("ws://{other}/x"), "/x"),
        (format!("http://{other}"), "/"),
        (format!("http://{other}?q"), "/?q"),
    ];
    for (target, path) in targets {
        for head in seen(&stage, &target).await {
            assert_eq!(head.first_line(), format!("GET {path} HTTP/1.1"), "{target}");
            assert_eq!(head.values("host"), [other.to_string()], "{target}");
        }
    }
    elsewhere.expect_untouched().await;
}

const ODD: [&str; 12] = [
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

async fn f1_an_odd_path_is_a_path(served: Served) {
    let stage = served.stage().await;
    for target in ODD {
        for head in seen(&stage, target).await {
            assert_eq!(head.first_line(), format!("GET {target} HTTP/1.1"));
            assert_eq!(head.values("host"), ["client.example"]);
            assert!(head.values("x").is_empty());
        }
    }
    for head in seen(&stage, "/x#fragment").await {
        assert_eq!(head.first_line(), "GET /x HTTP/1.1");
    }
}

async fn f1_no_path_leaves_the_upstreams_base(served: Served) {
    let stage = served.stage().await;
    let based: Upstream = format!("{}/base", stage.upstream.uri()).parse().unwrap();
    let below = served.stage_with(|layer| layer.upstream(based)).await;
    let below = Stage { upstream: stage.upstream, ..below };
    for target in ODD {
        let climbs = target.contains("..") || target.to_ascii_lowercase().contains("%2e%2e");
        if climbs {
            below.refused(handshake(target), 400).await;
        } else {
            for head in seen(&below, target).await {
                assert_eq!(head.first_line(), format!("GET /base{target} HTTP/1.1"));
            }
        }
    }
}

async fn f1_what_is_no_path_is_a_400(served: Served) {
    let stage = served.stage().await;
    for target in ["*", "evil:80", "evil", "?x", "@evil", "/caf\u{e9}", "http:///x", "http://[::1/x"] {
        stage.refused(handshake(target), 400).await;
        if served == Served::Location {
            stage.refused(get_with(target, &["X-Kept: 1"]), 400).await;
            stage.refused(format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n"), 400).await;
        }
    }
}

const GLUED: &str = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

fn connects() -> [String; 5] {
    [
        "CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n".to_owned(),
        "CONNECT evil:80 HTTP/1.0\r\n\r\n".to_owned(),
        "CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\nConnection: keep-alive\r\n\r\n".to_owned(),
        handshake("evil:80").replacen("GET", "CONNECT", 1),
        handshake("evil:80").replacen("GET", "CONNECT", 1).replace("websocket", "foo"),
    ]
}

/// Requires `status`, the end of the connection behind it, and that nothing more was read as a request.
async fn expect_end_behind(client: &mut Wire, status: u16, case: &str) {
    let head = client.head().await;
    assert_eq!(head.status(), status, "{case}");
    let tokens = head.values("connection").join(", ");
    assert_eq!(tokens.matches("close").count(), 1, "{case}: {tokens}");
    client.body(&head).await;
    client.expect_end().await;
}

async fn f2_a_refused_connect_ends_the_connection(served: Served) {
    let any = served.stage_with(|layer| layer.protocols(Protocols::any())).await;
    for stage in [served.stage().await, any] {
        for request in connects() {
            let mut client = stage.client().await;
            client.send(format!("{request}{GLUED}")).await;
            expect_end_behind(&mut client, 405, &request).await;
            stage.upstream.expect_untouched().await;
        }
    }
}

#[tokio::test]
async fn f2_so_it_does_without_the_layer_and_where_only_upgrades_are_served() {
    let upstream = Scripted::start().await;
    let forward = Forward::new(upstream.upstream());
    let only = UpgradeProxyLayer::new(upstream.upstream()).into_service();
    let custom = UpgradeProxyLayer::new(upstream.upstream())
        .error_response(|error| {
            let mut response = http::Response::new("mine");
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
            client.send(format!("{request}{GLUED}")).await;
            expect_end_behind(&mut client, status, &request).await;
        }
    }
    upstream.expect_untouched().await;
}

on_both![
    f1_an_absolute_target_goes_to_the_configured_upstream,
    f1_an_odd_path_is_a_path,
    f1_no_path_leaves_the_upstreams_base,
    f1_what_is_no_path_is_a_400,
    f2_a_refused_connect_ends_the_connection,
];
