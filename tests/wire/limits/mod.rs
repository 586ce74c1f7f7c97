//! Limits on tunnels, handshakes and ordinary requests, and the permits that count towards them.

mod descriptors;
mod handshakes;
mod order;
mod per_client;
mod per_upstream;
mod requests;
mod stress;
mod total;

use std::net::SocketAddr;

use axum::{
    Router,
    extract::Request,
    middleware::{map_request, map_response},
    response::Response,
};
use test_support::{
    SWITCHING, ScriptedUpstream, Wire, bounded, handshake, handshake_with, proxy::describe,
    serve::serve_with_peers,
};
use tower_upgrade_proxy::{Error, Peer, UpgradeProxyLayer, Upstream};

/// Serves `layer` with the addresses of its peers. Refusals have a field with their reason.
async fn limited(layer: UpgradeProxyLayer) -> SocketAddr {
    let app = Router::new().fallback(describe).layer(layer);
    serve_with_peers(app.layer(map_request(set_extensions)).layer(map_response(add_reason))).await
}

/// Sets peer and upstream of a request from its fields.
async fn set_extensions(mut request: Request) -> Request {
    let field = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (peer, upstream) = (field("x-peer"), field("x-upstream"));
    if let Some(peer) = peer {
        request.extensions_mut().insert(Peer::new(SocketAddr::new(peer.parse().unwrap(), 1)));
    }
    if let Some(upstream) = upstream {
        request.extensions_mut().insert(upstream.parse::<Upstream>().unwrap());
    }
    request
}

/// Adds a field with the reason of the error in the extensions.
async fn add_reason(mut response: Response) -> Response {
    if let Some(error) = response.extensions().get::<Error>().cloned() {
        let methods = [
            (error.is_tunnel_limit(), "tunnel_limit"),
            (error.is_client_limit(), "client_limit"),
            (error.is_upstream_limit(), "upstream_limit"),
            (error.is_handshake_limit(), "handshake_limit"),
            (error.is_request_limit(), "request_limit"),
            (error.is_descriptor_limit(), "descriptor_limit"),
        ];
        for (is_reason, reason) in methods {
            assert_eq!(is_reason, error.reason() == reason, "{error:?}");
        }
        response.headers_mut().insert("x-reason", error.reason().parse().unwrap());
    }
    response
}

/// The handshake of a client at `peer`.
fn from(peer: &str) -> String {
    handshake_with("/", &[&format!("X-Peer: {peer}")])
}

/// Asserts that `request` is refused for that reason, and that its connection can be used further.
async fn expect_refusal(address: SocketAddr, request: &str, status: u16, reason: &str) {
    let mut client = Wire::connect(address).await;
    let head = client.request(request).await;
    let refusal = (head.status(), head.values("retry-after").concat(), head.values("x-reason").concat());
    assert_eq!(refusal, (status, "5".to_owned(), reason.to_owned()), "{request}");
    client.body(&head).await;
    let ordinary = client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(ordinary.status(), 200, "ordinary requests are not counted");
}

/// Asserts that `request` is admitted immediately. Returns the waiting client, and the upstream's end.
async fn start(address: SocketAddr, upstream: &ScriptedUpstream, request: &str) -> (Wire, Wire) {
    let mut client = Wire::connect(address).await;
    client.send(request).await;
    let refused = async {
        let head = client.head().await;
        panic!("{} instead of a connection to the upstream", head.text());
    };
    let mut server = tokio::select! {
        server = upstream.accept() => server,
        () = refused => unreachable!(),
    };
    server.head().await;
    (client, server)
}

/// Opens a tunnel, which must be admitted immediately.
async fn open(address: SocketAddr, upstream: &ScriptedUpstream, request: &str) -> (Wire, Wire) {
    let (mut client, mut server) = start(address, upstream, request).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    (client, server)
}

/// Asserts that a handshake holds the only permit, and releases it when it fails or when its client disconnects.
async fn expect_release(address: SocketAddr, upstream: &ScriptedUpstream, status: u16, reason: &str) {
    let (mut client, server) = start(address, upstream, &handshake("/")).await;
    expect_refusal(address, &handshake("/"), status, reason).await;
    drop(server);
    assert_eq!(client.head().await.status(), 502);

    let (client, mut server) = start(address, upstream, &handshake("/")).await;
    drop(client);
    server.rest().await;
    until_admitted(address, upstream, &handshake("/")).await;
}

/// Repeats `request` until it is admitted: a permit is released a moment after the peers of its tunnel see the end.
async fn until_admitted(address: SocketAddr, upstream: &ScriptedUpstream, request: &str) -> (Wire, Wire) {
    bounded("a permit", async {
        loop {
            let mut client = Wire::connect(address).await;
            client.send(request).await;
            tokio::select! {
                head = client.head() => assert!([429, 503].contains(&head.status()), "{}", head.text()),
                mut server = upstream.accept() => {
                    server.head().await;
                    server.send(SWITCHING).await;
                    assert_eq!(client.head().await.status(), 101);
                    return (client, server);
                }
            }
        }
    })
    .await
}
