//! The time for which a request or tunnel counts.

use test_support::{EchoUpstream, SWITCHING, ScriptedUpstream, Wire, handshake, http2, websocket::Client};
use tower_upgrade_proxy::{Pool, UpgradeProxyLayer};

use crate::{GET, endpoint, open, serve_both, until_loads_are};

#[tokio::test]
async fn a_tunnel_counts_from_its_handshake_to_its_end() {
    let upstream = ScriptedUpstream::start().await;
    let pool = Pool::new([endpoint(upstream.upstream())]);
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut client = Wire::connect(proxy).await;
    let mut server = upstream.receive(&mut client, handshake("/")).await;
    until_loads_are(&pool, &[1]).await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    until_loads_are(&pool, &[1]).await;
    assert_eq!(pool.endpoints()[0].tunnels().len(), 1);
    drop((client, server));
    until_loads_are(&pool, &[0]).await;
    assert!(pool.endpoints()[0].tunnels().is_empty());
}

#[tokio::test]
async fn tunnels_are_spread_over_both_versions_of_http() {
    let upstreams = [EchoUpstream::start().await, EchoUpstream::start().await];
    let pool = Pool::new(upstreams.iter().map(|upstream| endpoint(upstream.upstream().http2())));
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::http1(proxy, "/").await);
        clients.push(Client::http2(proxy, "/").await);
    }
    until_loads_are(&pool, &[5, 5]).await;
    for client in &mut clients {
        client.echo("hello").await;
    }
    drop(clients);
    until_loads_are(&pool, &[0, 0]).await;
}

#[tokio::test]
async fn a_refused_upgrade_and_an_ordinary_response_count_until_their_bodies_have_ended() {
    let upstream = ScriptedUpstream::start().await;
    let pool = Pool::new([endpoint(upstream.upstream())]);
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    for (request, status) in [(GET.to_owned(), "200 OK"), (handshake("/"), "403 Forbidden")] {
        let mut client = Wire::connect(proxy).await;
        let mut server = upstream.receive(&mut client, request).await;
        server.send(format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\nbo")).await;
        client.head().await;
        client.expect("bo").await;
        until_loads_are(&pool, &[1]).await;
        server.send("dy").await;
        client.expect("dy").await;
        until_loads_are(&pool, &[0]).await;
    }
}

#[tokio::test]
async fn a_client_that_gives_up_counts_no_longer() {
    let upstream = ScriptedUpstream::start().await;
    let pool = Pool::new([endpoint(upstream.upstream())]);
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    for request in [GET.to_owned(), handshake("/")] {
        let mut client = Wire::connect(proxy).await;
        let server = upstream.receive(&mut client, request).await;
        until_loads_are(&pool, &[1]).await;
        drop(client);
        until_loads_are(&pool, &[0]).await;
        drop(server);
    }
    // A stream that is reset.
    let mut client = http2::Client::connect(proxy).await;
    let tunnel = client.connect_websocket("/");
    let server = upstream.accept().await;
    until_loads_are(&pool, &[1]).await;
    drop((tunnel, client, server));
    until_loads_are(&pool, &[0]).await;
}

#[tokio::test]
async fn layers_share_the_counts_of_a_pool() {
    let upstreams = [ScriptedUpstream::start().await, ScriptedUpstream::start().await];
    let pool = Pool::new(upstreams.iter().map(|upstream| endpoint(upstream.upstream())));
    let proxies = [
        serve_both(UpgradeProxyLayer::pool(&pool)).await,
        serve_both(UpgradeProxyLayer::per_request().upstream_pool(&pool.clone())).await,
    ];
    let first = {
        let mut client = Wire::connect(proxies[0]).await;
        client.send(handshake("/")).await;
        tokio::select! {
            server = upstreams[0].accept() => (0, server, client),
            server = upstreams[1].accept() => (1, server, client),
        }
    };
    // The other layer knows of it, and chooses the other endpoint.
    let _second = open(proxies[1], &upstreams[1 - first.0]).await;
    until_loads_are(&pool, &[1, 1]).await;
}

#[tokio::test]
async fn the_pool_or_the_upstream_of_a_request_overrides_that_of_the_layer() {
    use axum::{Router, extract::Request, middleware::map_request};
    use test_support::serve;

    let upstreams =
        [ScriptedUpstream::start().await, ScriptedUpstream::start().await, ScriptedUpstream::start().await];
    let [layers, requests] = [0, 1].map(|index: usize| Pool::new([endpoint(upstreams[index].upstream())]));
    let (pool, upstream) = (requests.clone(), upstreams[2].upstream());
    let choose = map_request(move |mut request: Request| {
        match request.uri().path() {
            "/pool" => drop(request.extensions_mut().insert(pool.clone())),
            "/upstream" => {
                request.extensions_mut().insert(pool.clone());
                request.extensions_mut().insert(upstream.clone());
            }
            _ => {}
        }
        std::future::ready(request)
    });
    let app = Router::new().fallback_service(UpgradeProxyLayer::pool(&layers).forward()).layer(choose);
    let proxy = serve(app).await;
    for (path, upstream) in ["/", "/pool", "/upstream"].into_iter().zip(&upstreams) {
        for request in [handshake(path), GET.replace("GET /", &format!("GET {path}"))] {
            let mut client = Wire::connect(proxy).await;
            drop(upstream.receive(&mut client, request).await);
        }
    }
}
