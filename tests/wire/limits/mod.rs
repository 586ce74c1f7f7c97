//! How many tunnels and handshakes there may be, and what holds a place among them.

mod descriptors;
mod handshakes;
mod order;
mod per_client;
mod per_upstream;
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

/// An application that knows its peers, and tells why a request was refused.
async fn limited(layer: UpgradeProxyLayer) -> SocketAddr {
    let app = Router::new().fallback(describe).layer(layer);
    serve_with_peers(app.layer(map_request(told)).layer(map_response(why))).await
}

/// Lets a test choose peer and upstream of a request by its fields.
async fn told(mut request: Request) -> Request {
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

/// The reason of the error in the extensions, in a field.
async fn why(mut response: Response) -> Response {
    if let Some(error) = response.extensions().get::<Error>().cloned() {
        let questions = [
            (error.is_tunnel_limit(), "tunnel_limit"),
            (error.is_client_limit(), "client_limit"),
            (error.is_upstream_limit(), "upstream_limit"),
            (error.is_handshake_limit(), "handshake_limit"),
            (error.is_descriptor_limit(), "descriptor_limit"),
        ];
        for (answer, reason) in questions {
            assert_eq!(answer, error.reason() == reason, "{error:?}");
        }
        response.headers_mut().insert("x-reason", error.reason().parse().unwrap());
    }
    response
}

/// A client at `peer`.
fn from(peer: &str) -> String {
    handshake_with("/", &[&format!("X-Peer: {peer}")])
}

/// Requires that `request` is refused for that reason, and that its connection goes on.
async fn expect_refusal(address: SocketAddr, request: &str, status: u16, reason: &str) {
    let mut client = Wire::connect(address).await;
    let head = client.request(request).await;
    let said = (head.status(), head.values("retry-after").concat(), head.values("x-reason").concat());
    assert_eq!(said, (status, "5".to_owned(), reason.to_owned()), "{request}");
    client.body(&head).await;
    let ordinary = client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(ordinary.status(), 200, "ordinary requests are not counted");
}

/// Requires that `request` is admitted at once: a client's end that waits, and the upstream's.
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

/// The same, agreed.
async fn open(address: SocketAddr, upstream: &ScriptedUpstream, request: &str) -> (Wire, Wire) {
    let (mut client, mut server) = start(address, upstream, request).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    (client, server)
}

/// Requires that the one place is taken by a handshake, and free again when that fails or its client leaves.
async fn expect_place_back(address: SocketAddr, upstream: &ScriptedUpstream, status: u16, reason: &str) {
    let (mut client, server) = start(address, upstream, &handshake("/")).await;
    expect_refusal(address, &handshake("/"), status, reason).await;
    drop(server);
    assert_eq!(client.head().await.status(), 502);

    let (client, mut server) = start(address, upstream, &handshake("/")).await;
    drop(client);
    server.rest().await;
    until_admitted(address, upstream, &handshake("/")).await;
}

/// Asks until a place is free: it becomes so a moment after the last tunnel's peers see its end.
async fn until_admitted(address: SocketAddr, upstream: &ScriptedUpstream, request: &str) -> (Wire, Wire) {
    bounded("a place", async {
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
