//! How many tunnels and handshakes there may be.

use tokio_tungstenite::tungstenite;

use crate::{
    Gateway, answer, get,
    support::{SWITCHING, Scripted, Wire, bounded, handshake, handshake_with},
    upstream,
};

/// More attempts than could all come to the same of four workers by chance.
const ATTEMPTS: usize = 20;

/// A client behind a proxy, which says so.
fn from(client: &str) -> String {
    handshake_with("/", &[&format!("X-Forwarded-For: {client}")])
}

/// Both ends of a handshake that was sent on.
async fn start(gateway: &Gateway, upstream: &Scripted, request: &str) -> (Wire, Wire) {
    let mut client = gateway.wire().await;
    client.send(request).await;
    let mut server = upstream.accept().await;
    server.head().await;
    (client, server)
}

async fn open(gateway: &Gateway, upstream: &Scripted, request: &str) -> (Wire, Wire) {
    let (mut client, mut server) = start(gateway, upstream, request).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    (client, server)
}

/// Requires that all workers refuse `request`.
async fn expect_refusals(gateway: &Gateway, request: &str, status: u16) {
    for _ in 0..ATTEMPTS {
        let head = gateway.wire().await.ask(request).await;
        assert_eq!((head.status(), head.values("retry-after").len()), (status, 1), "{request}");
    }
}

#[tokio::test]
async fn the_second_of_one_allowed_tunnel_gets_503_on_every_route_until_the_first_ends() {
    let routes =
        [format!("/a/={}", upstream::start("a").await), format!("/b/={}", upstream::start("b").await)];
    let arguments = ["--route", &routes[0], "--route", &routes[1], "--max-tunnels", "1"];
    let gateway = Gateway::start(&arguments).await;
    let mut first = gateway.websocket("/a/").await.unwrap();
    assert_eq!(answer(&mut first).await, "a /a/ client.example");
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
    assert_eq!(answer(&mut first).await, "a /a/ client.example");
    drop(first);
    // The gateway learns of the end in its own time; each attempt waits for an answer.
    bounded("a free place", async { while gateway.websocket("/b/").await.is_err() {} }).await;
}

#[tokio::test]
async fn the_tunnels_of_a_client_are_limited_over_all_workers() {
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let arguments = ["--route", &route, "--workers", "4", "--max-tunnels-per-client", "1"];
    let stranger = Gateway::start(&arguments).await;
    let _held = open(&stranger, &upstream, &from("192.0.2.1")).await;
    expect_refusals(&stranger, &from("192.0.2.2"), 429).await;

    let trusted = Gateway::start(&[&arguments[..], &["--trust", "127.0.0.0/8"]].concat()).await;
    let _one = open(&trusted, &upstream, &from("192.0.2.1")).await;
    let _two = open(&trusted, &upstream, &from("192.0.2.2")).await;
    expect_refusals(&trusted, &from("192.0.2.1"), 429).await;
}

#[tokio::test]
async fn the_tunnels_to_an_upstream_are_limited_over_all_workers_and_routes() {
    let (one, other) = (Scripted::start().await, Scripted::start().await);
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
    let upstream = Scripted::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route, "--workers", "4", "--max-handshakes", "1"]).await;
    let (mut client, mut server) = start(&gateway, &upstream, &handshake("/")).await;
    expect_refusals(&gateway, &handshake("/"), 503).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    open(&gateway, &upstream, &handshake("/")).await;
}
