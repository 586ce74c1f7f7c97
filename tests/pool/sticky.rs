//! The sticky cookie, as clients and upstreams see it.

use test_support::{SWITCHING, ScriptedUpstream, Wire, handshake_with, http2};
use tower_upgrade_proxy::{Balance, Pool, Sticky, UpgradeProxyLayer};

use crate::{endpoint, serve_both};

async fn start() -> ([ScriptedUpstream; 2], std::net::SocketAddr) {
    let upstreams = [ScriptedUpstream::start().await, ScriptedUpstream::start().await];
    let pool = Pool::new(upstreams.iter().map(|upstream| endpoint(upstream.upstream())))
        .balance(Balance::round_robin())
        .sticky(Sticky::cookie("up").unwrap());
    (upstreams, serve_both(UpgradeProxyLayer::pool(&pool)).await)
}

/// A request with these cookies.
fn get(cookies: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookies}\r\n\r\n")
}

#[tokio::test]
async fn the_first_response_sets_the_cookie_and_later_requests_and_upgrades_follow_it() {
    let (upstreams, proxy) = start().await;
    let ok = "HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let upgrade = |cookies: &str| handshake_with("/", &[&format!("Cookie: {cookies}")]);
    // In turn, so that each of them comes to the first endpoint.
    for (request, response, status, own) in
        [(get("a=1"), ok, 200, 1), (upgrade("a=1"), SWITCHING, 101, 0), (upgrade("a=1"), refused, 403, 0)]
    {
        let mut client = Wire::connect(proxy).await;
        let mut server = upstreams[0].receive(&mut client, &request).await;
        server.send(response).await;
        let head = client.head().await;
        let cookies = head.values("set-cookie");
        assert_eq!((head.status(), cookies.len()), (status, own + 1), "{}", head.text());
        let cookie = cookies[own].strip_suffix("; Path=/; HttpOnly; SameSite=Lax").unwrap().to_owned();
        assert!(cookie.starts_with("up=") && cookie.len() == "up=".len() + 11, "{cookie}");
        for request in [get(&format!("{cookie}; a=1")), upgrade(&format!("a=1; {cookie}"))] {
            let mut client = Wire::connect(proxy).await;
            client.send(request).await;
            let mut server = upstreams[0].accept().await;
            assert_eq!(server.head().await.values("cookie"), ["a=1"]);
            server.send(ok).await;
            assert!(!client.head().await.values("set-cookie").iter().any(|cookie| cookie.starts_with("up=")));
        }
        // The other one has its turn.
        let mut client = Wire::connect(proxy).await;
        drop(upstreams[1].receive(&mut client, get("a=1")).await);
    }
}

#[tokio::test]
async fn the_cookie_works_over_http2() {
    let (upstreams, proxy) = start().await;
    let mut client = http2::Client::connect(proxy).await;
    let pending = client.connect_websocket("/");
    drop(upstreams[0].accept_upgrade().await);
    let (response, _stream) = pending.response().await;
    assert_eq!(response.status(), 200);
    assert!(response.headers()["set-cookie"].to_str().unwrap().starts_with("up="));
}
