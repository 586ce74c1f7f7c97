//! Limits of tunnels, handshakes and requests.

use test_support::{SWITCHING, ScriptedUpstream, Wire, bounded, handshake, handshake_with};
use tokio_tungstenite::tungstenite;

use crate::{Gateway, description, get, upstream};

/// Too many attempts for all to reach the same of four workers by chance.
const ATTEMPTS: usize = 20;

/// A handshake of a client behind another proxy.
fn from(client: &str) -> String {
    handshake_with("/", &[&format!("X-Forwarded-For: {client}")])
}

/// Sends a handshake that reaches the upstream. Returns the ends, the client's first.
async fn start(gateway: &Gateway, upstream: &ScriptedUpstream, request: &str) -> (Wire, Wire) {
    let mut client = gateway.wire().await;
    client.send(request).await;
    let mut server = upstream.accept().await;
    server.head().await;
    (client, server)
}

async fn open(gateway: &Gateway, upstream: &ScriptedUpstream, request: &str) -> (Wire, Wire) {
    let (mut client, mut server) = start(gateway, upstream, request).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    (client, server)
}

/// Expects that all workers refuse `request`.
async fn expect_refusals(gateway: &Gateway, request: &str, status: u16) {
    for _ in 0..ATTEMPTS {
        let head = gateway.wire().await.request(request).await;
        assert_eq!((head.status(), head.values("retry-after").len()), (status, 1), "{request}");
    }
}

#[tokio::test]
async fn a_tunnel_beyond_the_limit_gets_503_on_every_route_until_another_ends() {
    let routes =
        [format!("/a/={}", upstream::start("a").await), format!("/b/={}", upstream::start("b").await)];
    let arguments = ["--route", &routes[0], "--route", &routes[1], "--max-tunnels", "1"];
    let gateway = Gateway::start(&arguments).await;
    let mut first = gateway.websocket("/a/").await.unwrap();
    assert_eq!(description(&mut first).await, "a /a/ client.example");
    for path in ["/a/", "/b/"] {
        match gateway.websocket(path).await {
            Err(tungstenite::Error::Http(response)) => {
                assert_eq!(response.status(), 503, "{path}");
                assert!(response.headers().contains_key("retry-after"));
            }
            other => panic!("{path}: {other:?}"),
        }
        let (_, body) = get(&mut gateway.wire().await, path).await;
        assert!(body.ends_with("/ client.example"), "ordinary requests are not counted: {body}");
    }
    assert_eq!(description(&mut first).await, "a /a/ client.example");
    drop(first);
    // The gateway notices the end some time later.
    bounded("a free permit", async { while gateway.websocket("/b/").await.is_err() {} }).await;
}

#[tokio::test]
async fn the_tunnels_of_a_client_are_limited_over_all_workers() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let arguments = ["--route", &route, "--workers", "4", "--max-tunnels-per-client", "1"];
    let untrusting = Gateway::start(&arguments).await;
    let _held = open(&untrusting, &upstream, &from("192.0.2.1")).await;
    expect_refusals(&untrusting, &from("192.0.2.2"), 429).await;

    let trusting = Gateway::start(&[&arguments[..], &["--trust", "127.0.0.0/8"]].concat()).await;
    let _one = open(&trusting, &upstream, &from("192.0.2.1")).await;
    let _two = open(&trusting, &upstream, &from("192.0.2.2")).await;
    expect_refusals(&trusting, &from("192.0.2.1"), 429).await;
}

#[tokio::test]
async fn the_tunnels_to_an_upstream_are_limited_over_all_workers_and_routes() {
    let (one, other) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    let routes =
        [format!("/={}", one.uri()), format!("/same={}/base", one.uri()), format!("/other={}", other.uri())];
    let routes: Vec<_> = routes.iter().flat_map(|route| ["--route", route]).collect();
    let limits = ["--workers", "4", "--max-tunnels-per-upstream", "1"];
    let gateway = Gateway::start(&[&routes[..], &limits].concat()).await;
    let _held = open(&gateway, &one, &handshake("/")).await;
    expect_refusals(&gateway, &handshake("/"), 503).await;
    expect_refusals(&gateway, &handshake("/same"), 503).await;
    open(&gateway, &other, &handshake("/other")).await;
}

#[tokio::test]
async fn handshakes_are_limited_over_all_workers_while_they_are_in_flight() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--workers", "4", "--max-handshakes", "1"]).await;
    let (mut client, mut server) = start(&gateway, &upstream, &handshake("/")).await;
    expect_refusals(&gateway, &handshake("/"), 503).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    open(&gateway, &upstream, &handshake("/")).await;
}

#[tokio::test]
async fn requests_are_limited_over_all_workers_and_routes_until_their_responses_end() {
    let upstream = ScriptedUpstream::start().await;
    let routes = [format!("/={}", upstream.uri()), format!("/other={}", upstream.uri())];
    let arguments = ["--route", &routes[0], "--route", &routes[1], "--workers", "4", "--max-requests", "1"];
    let gateway = Gateway::start(&arguments).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut client, mut server) = start(&gateway, &upstream, &get("/")).await;
    expect_refusals(&gateway, &get("/"), 503).await;
    expect_refusals(&gateway, &get("/other"), 503).await;
    // Tunnels are not counted.
    let _tunnel = open(&gateway, &upstream, &handshake("/")).await;
    server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\no").await;
    assert_eq!(client.head().await.status(), 200);
    expect_refusals(&gateway, &get("/"), 503).await;
    server.send("k").await;
    client.expect("ok").await;
    bounded("a free permit", async {
        loop {
            let mut client = gateway.wire().await;
            client.send(get("/")).await;
            tokio::select! {
                head = client.head() => assert_eq!(head.status(), 503),
                _ = upstream.accept() => return,
            }
        }
    })
    .await;
}
