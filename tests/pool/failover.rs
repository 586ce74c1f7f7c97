//! Endpoints that cannot be reached.

use std::time::{Duration, Instant};

use http::{Uri, request::Parts};
use hyper_util::rt::TokioIo;
use test_support::{ReservedPort, ScriptedUpstream, Wire, proxy::Reports};
use tokio::net::TcpStream;
use tower::service_fn;
use tower_upgrade_proxy::{
    Balance, Candidate, Choose, EndpointState, EndpointStatus, Outlier, Pool, Retry, UpgradeProxyLayer,
    Upstream,
};

use crate::{endpoint, refusing, requests, serve_both, status, until_loads_are};

/// A policy that prefers the endpoints in the order of the set.
fn in_order() -> Balance {
    struct First;
    impl Choose for First {
        fn choose(&self, _: &[Candidate<'_>], _: &Parts) -> usize {
            0
        }
    }
    Balance::custom(First)
}

#[tokio::test]
async fn a_request_goes_to_another_endpoint_if_one_refuses_connections() {
    let (port, upstream) = (ReservedPort::new(), ScriptedUpstream::start().await);
    for version2 in [false, true] {
        let dead = match version2 {
            true => endpoint(port.uri().parse::<Upstream>().unwrap().http2()),
            false => refusing(&port),
        };
        let pool = Pool::new([dead, endpoint(upstream.upstream())]).balance(in_order());
        let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
        for request in requests() {
            let mut client = Wire::connect(proxy).await;
            let mut server = upstream.receive(&mut client, &request).await;
            until_loads_are(&pool, &[0, 1]).await;
            server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 204);
        }
    }
}

#[tokio::test]
async fn a_body_that_was_not_read_goes_with_the_request() {
    let (port, upstream) = (ReservedPort::new(), ScriptedUpstream::start().await);
    let pool = Pool::new([refusing(&port), endpoint(upstream.upstream())]).balance(in_order());
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let mut client = Wire::connect(proxy).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123").await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.values("content-length"), ["10"]);
    server.expect("0123").await;
    client.send("456789").await;
    server.expect("456789").await;
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 204);
}

#[tokio::test]
async fn a_request_that_may_have_been_processed_is_not_sent_again() {
    let upstreams = [ScriptedUpstream::start().await, ScriptedUpstream::start().await];
    let pool = Pool::new(upstreams.iter().map(|upstream| endpoint(upstream.upstream()))).balance(in_order());
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    for request in requests() {
        let mut client = Wire::connect(proxy).await;
        drop(upstreams[0].receive(&mut client, request).await);
        assert_eq!(client.head().await.status(), 502);
        upstreams[1].expect_untouched().await;
    }
    // Any answer is an answer.
    for request in requests() {
        let mut client = Wire::connect(proxy).await;
        let mut server = upstreams[0].receive(&mut client, request).await;
        server.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 503);
        upstreams[1].expect_untouched().await;
    }
}

#[tokio::test]
async fn without_any_endpoint_the_error_is_that_of_the_last_one() {
    let ports = [ReservedPort::new(), ReservedPort::new()];
    let pool = Pool::new(ports.iter().map(refusing));
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    for request in requests() {
        assert_eq!(status(proxy, &request).await, 502);
    }
    pool.set([]);
    for request in requests() {
        let head = Wire::connect(proxy).await.request(&request).await;
        assert_eq!((head.status(), head.values("retry-after").len()), (503, 1));
    }
    until_loads_are(&pool, &[]).await;
}

#[tokio::test]
async fn a_full_pool_is_a_503_until_a_tunnel_ends() {
    let upstream = ScriptedUpstream::start().await;
    let pool = Pool::new([endpoint(upstream.upstream())]).max_tunnels_per_endpoint(1);
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    let tunnel = upstream.tunnel(Wire::connect(proxy).await).await;
    for request in requests() {
        let head = Wire::connect(proxy).await.request(&request).await;
        assert_eq!((head.status(), head.values("retry-after").len()), (503, 1));
    }
    drop(tunnel);
    until_loads_are(&pool, &[0]).await;
    drop(upstream.tunnel(Wire::connect(proxy).await).await);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_costs_a_second_of_connecting() {
    let upstream = ScriptedUpstream::start().await;
    let black_hole = Upstream::for_connector("http://black-hole".parse().unwrap()).unwrap();
    let connect = service_fn(|uri: Uri| async move {
        if uri.host() == Some("black-hole") {
            std::future::pending::<()>().await;
        }
        TcpStream::connect(uri.authority().unwrap().as_str()).await.map(TokioIo::new)
    });
    let pool = Pool::new([endpoint(black_hole), endpoint(upstream.upstream())]).balance(in_order());
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool).connector(connect)).await;
    for request in requests() {
        let started = Instant::now();
        let mut client = Wire::connect(proxy).await;
        drop(upstream.receive(&mut client, request).await);
        let took = started.elapsed();
        assert!((Duration::from_secs(1)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
    until_loads_are(&pool, &[0, 0]).await;
}

#[tokio::test]
async fn the_hook_sees_one_tunnel_and_the_endpoint_that_got_it() {
    let (port, upstream) = (ReservedPort::new(), ScriptedUpstream::start().await);
    let pool = Pool::new([refusing(&port), endpoint(upstream.upstream())]).balance(in_order());
    let (layer, mut reports) = Reports::of(UpgradeProxyLayer::pool(&pool));
    let proxy = serve_both(layer).await;
    drop(upstream.tunnel(Wire::connect(proxy).await).await);
    for is_end in [false, true] {
        let (tunnel, summary) = reports.next().await;
        assert_eq!((tunnel.upstream(), summary.is_some()), (&upstream.upstream(), is_end));
    }
    assert!(reports.is_empty());
}

/// The states of the endpoints.
fn states(pool: &Pool) -> Vec<EndpointState> {
    pool.endpoints().iter().map(EndpointStatus::state).collect()
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_is_ejected_and_then_not_tried() {
    for request in requests() {
        let (port, upstream) = (ReservedPort::new(), ScriptedUpstream::start().await);
        let pool = Pool::new([refusing(&port), endpoint(upstream.upstream())]).balance(in_order());
        let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
        for _ in 0..5 {
            assert_eq!(states(&pool), [EndpointState::Ready; 2]);
            let mut client = Wire::connect(proxy).await;
            let mut server = upstream.receive(&mut client, &request).await;
            server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 204);
        }
        assert_eq!(states(&pool), [EndpointState::Ejected, EndpointState::Ready]);
    }
}

#[tokio::test]
async fn ends_of_tunnels_refusals_and_failed_requests_eject_no_endpoint() {
    let upstreams = [ScriptedUpstream::start().await, ScriptedUpstream::start().await];
    let endpoints = upstreams.iter().map(|upstream| endpoint(upstream.upstream()));
    let pool = Pool::new(endpoints).balance(in_order()).outlier(Outlier::new().failures(2));
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    for number in 0..20 {
        let (client, server) = upstreams[0].tunnel(Wire::connect(proxy).await).await;
        if number % 2 == 0 {
            server.stream.set_zero_linger().unwrap();
        }
        drop((server, client));
    }
    for request in requests() {
        for _ in 0..5 {
            let mut client = Wire::connect(proxy).await;
            let mut server = upstreams[0].receive(&mut client, &request).await;
            server
                .send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .await;
            assert_eq!(client.head().await.status(), 503);
        }
    }
    for _ in 0..5 {
        let mut client = Wire::connect(proxy).await;
        drop(upstreams[0].receive(&mut client, &requests()[0]).await);
        assert_eq!(client.head().await.status(), 502);
    }
    until_loads_are(&pool, &[0, 0]).await;
    assert_eq!(states(&pool), [EndpointState::Ready; 2]);
    // Handshakes without a response do.
    for _ in 0..2 {
        let mut client = Wire::connect(proxy).await;
        drop(upstreams[0].receive(&mut client, &requests()[1]).await);
        assert_eq!(client.head().await.status(), 502);
    }
    assert_eq!(states(&pool), [EndpointState::Ejected, EndpointState::Ready]);
}

#[tokio::test]
async fn a_request_without_an_answer_is_tried_again_if_that_is_allowed() {
    let upstreams = [ScriptedUpstream::start().await, ScriptedUpstream::start().await];
    let endpoints = upstreams.iter().map(|upstream| endpoint(upstream.upstream()));
    let pool = Pool::new(endpoints).balance(in_order()).outlier(None).retry(Retry::Unanswered);
    let proxy = serve_both(UpgradeProxyLayer::pool(&pool)).await;
    for request in requests() {
        // The connection ends, or is reset, without a byte or in the head of the response.
        for (response, is_reset) in [("", false), ("", true), ("HTTP/1.1 200", false)] {
            let mut client = Wire::connect(proxy).await;
            let mut server = upstreams[0].receive(&mut client, &request).await;
            server.send(response).await;
            if is_reset {
                server.stream.set_zero_linger().unwrap();
            }
            drop(server);
            let mut server = upstreams[1].accept().await;
            server.head().await;
            server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
            assert_eq!(client.head().await.status(), 204);
        }
        // An invalid answer is an answer.
        let mut client = Wire::connect(proxy).await;
        let mut server = upstreams[0].receive(&mut client, &request).await;
        server.send("no HTTP\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 502);
        upstreams[1].expect_untouched().await;
    }
    // Neither idempotent, nor without a body.
    for request in
        ["POST / HTTP/1.1\r\nHost: a\r\n\r\n", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"]
    {
        let mut client = Wire::connect(proxy).await;
        drop(upstreams[0].receive(&mut client, request).await);
        assert_eq!(client.head().await.status(), 502);
        upstreams[1].expect_untouched().await;
    }
}
