//! `max_requests`.

use std::time::Duration;

use super::*;
use test_support::http2::Client;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn layer(upstream: &ScriptedUpstream) -> UpgradeProxyLayer {
    UpgradeProxyLayer::new(upstream.upstream()).max_requests(1)
}

/// Serves a location.
async fn location(layer: UpgradeProxyLayer) -> SocketAddr {
    serve_with_peers(Router::new().fallback_service(layer.forward()).layer(map_response(add_reason))).await
}

/// Asserts that a request is refused, without a connection to the upstream and on a connection that stays open.
async fn expect_full(address: SocketAddr, upstream: &ScriptedUpstream) {
    let mut client = Wire::connect(address).await;
    for _ in 0..2 {
        let head = client.request(GET).await;
        let refusal = (head.status(), head.values("retry-after").concat(), head.values("x-reason").concat());
        assert_eq!(refusal, (503, "5".to_owned(), "request_limit".to_owned()));
        client.body(&head).await;
    }
    upstream.expect_untouched().await;
}

/// Repeats a request until it is admitted: a permit is released a moment after the peer sees the end of its request.
async fn until_released(address: SocketAddr, server: &mut Option<Wire>, upstream: &ScriptedUpstream) {
    let mut client = Wire::connect(address).await;
    bounded("a permit", async {
        loop {
            client.send(GET).await;
            let pooled = async {
                match server {
                    Some(server) => server.head().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                head = client.head() => {
                    assert_eq!(head.status(), 503, "{}", head.text());
                    client.body(&head).await;
                }
                _ = pooled => return,
                mut new = upstream.accept() => {
                    new.head().await;
                    *server = Some(new);
                    return;
                }
            }
        }
    })
    .await;
    server.as_mut().unwrap().send(OK).await;
    let head = client.head().await;
    assert_eq!((head.status(), client.body(&head).await), (200, b"ok".to_vec()));
}

#[tokio::test]
async fn a_request_above_the_limit_gets_a_503_until_the_body_of_the_response_has_ended() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(layer(&upstream)).await;
    let (mut client, mut server) = start(address, &upstream, GET).await;
    expect_full(address, &upstream).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
    let head = client.head().await;
    expect_full(address, &upstream).await;
    server.send("ok").await;
    client.body(&head).await;
    // The client's connection stays open.
    until_released(address, &mut Some(server), &upstream).await;
}

#[tokio::test]
async fn a_request_that_ends_in_any_way_releases_its_permit() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(layer(&upstream).header_timeout(Duration::from_secs(1))).await;
    let (mut client, mut server) = start(address, &upstream, GET).await;
    server.send("garbage\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 502);

    let (mut client, _server) = start(address, &upstream, GET).await;
    assert_eq!(client.head().await.status(), 504);

    for response in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome"] {
        let mut free = None;
        until_released(address, &mut free, &upstream).await;
        drop(free);
        let (client, mut server) = start(address, &upstream, GET).await;
        server.send(response).await;
        drop(client);
        server.rest().await;
    }
    until_released(address, &mut None, &upstream).await;
}

#[tokio::test]
async fn each_stream_of_an_http_2_client_counts_until_it_is_reset() {
    let upstream = ScriptedUpstream::start().await;
    let address = location(layer(&upstream)).await;
    let mut client = Client::connect(address).await;
    let request = || http::Request::get("http://a/").body(()).unwrap();
    let pending = client.send_request(request(), true);
    let mut server = upstream.accept().await;
    server.head().await;
    let (response, _) = client.send_request(request(), true).response().await;
    assert_eq!(response.status(), 503);
    expect_full(address, &upstream).await;
    drop(pending);
    server.rest().await;
    until_released(address, &mut None, &upstream).await;
}

#[tokio::test]
async fn tunnels_do_not_count_and_services_of_one_layer_share_the_limit() {
    let upstream = ScriptedUpstream::start().await;
    let layer = layer(&upstream);
    let (one, two) = (location(layer.clone()).await, location(layer).await);
    let _tunnels = [open(one, &upstream, &handshake("/")).await, open(two, &upstream, &handshake("/")).await];
    let (_client, _server) = start(one, &upstream, GET).await;
    expect_full(two, &upstream).await;
    open(one, &upstream, &handshake("/")).await;
}
