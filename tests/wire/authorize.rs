//! The `authorize` hook: which requests it checks, when, and what it adds.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::OriginalUri, response::IntoResponse};
use http::{
    HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
    request::Parts,
};
use test_support::{
    Inner, SWITCHING, ScriptedProxy, ScriptedUpstream, TestProxy, Wire, bounded, handshake, handshake_with,
    http2::Client, serve, switching_protocols,
};
use tokio::sync::mpsc;
use tower_upgrade_proxy::{
    AllowOrigin, Authorized, Drain, PathRewrite, Protocol, Protocols, Rejection, TunnelLabel,
    UpgradeProxyLayer,
};

use crate::http2::{self, extended};

const TOKEN: &str = "Authorization: Bearer alice";
const USER: HeaderName = HeaderName::from_static("x-user");

/// Takes the name of the user from the token. Without one, the response is a 401 with a challenge.
async fn bearer(head: Parts) -> Result<Authorized, Rejection> {
    // As a lookup in a database would.
    tokio::task::yield_now().await;
    let Some(token) = head.headers.get(AUTHORIZATION) else {
        let challenge = [(WWW_AUTHENTICATE, "Bearer")];
        return Err((StatusCode::UNAUTHORIZED, challenge, "log in first").into_response().into());
    };
    let token = token.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
    let user = token.strip_prefix("Bearer ").ok_or(StatusCode::FORBIDDEN)?;
    let value = HeaderValue::from_str(user).map_err(|_| StatusCode::FORBIDDEN)?;
    Ok(Authorized::new().header(USER, value).label(TunnelLabel::new(user)))
}

fn with_tcp() -> Protocols {
    Protocols::websocket().allow(Protocol::new("tcp").unwrap().methods([Method::POST]).with_request_body())
}

fn post_tcp(field: &str) -> String {
    let field = if field.is_empty() { String::new() } else { format!("{field}\r\n") };
    format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n{field}Content-Length: 0\r\n\r\n"
    )
}

async fn proxy(inner: Inner) -> ScriptedProxy {
    ScriptedProxy::start_with(inner, |layer| layer.protocols(with_tcp()).authorize(bearer)).await
}

#[tokio::test]
async fn every_kind_of_upgrade_needs_authorization() {
    for inner in [Inner::Application, Inner::Forward] {
        let proxy = proxy(inner).await;
        // HTTP/1.1, with each allowed method.
        for refused in [handshake("/"), post_tcp("")] {
            let mut client = proxy.expect_refusal(&refused, 401).await;
            let mut again = proxy.connect().await;
            let head = again.request(&refused).await;
            assert_eq!(head.values("www-authenticate"), ["Bearer"]);
            assert_eq!(again.body(&head).await, b"log in first");
            // The connection is still HTTP.
            client.expect("log in first").await;
            assert_eq!(client.request(&refused).await.status(), 401);
        }
        proxy.upstream.expect_untouched().await;
        let (mut client, mut server, _) = proxy.request(handshake_with("/", &[TOKEN])).await;
        server.send(SWITCHING).await;
        assert_eq!(client.head().await.status(), 101);
        let (mut client, mut server, _) = proxy.request(post_tcp(TOKEN)).await;
        server.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 101);
        // HTTP/2.
        let mut client = Client::connect(proxy.address).await;
        let refused = http2::send(&mut client, extended("websocket")).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer");
        proxy.upstream.expect_untouched().await;
        let accepted = extended("websocket").header("authorization", "Bearer alice").body(()).unwrap();
        let pending = client.send_request(accepted, false);
        let (_, mut server) = tokio::join!(pending.tunnel(), proxy.upstream.accept_upgrade());
        server.send("open").await;
    }
}

#[tokio::test]
async fn ordinary_requests_are_checked_if_they_are_forwarded_and_not_if_they_are_the_application_s() {
    let requests = ["GET", "POST", "OPTIONS"].map(|method| format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
    let proxy = proxy(Inner::Forward).await;
    for request in &requests {
        proxy.expect_refusal(request, 401).await;
        let (mut client, mut server, head) =
            proxy.request(request.replace("\r\n\r\n", &format!("\r\n{TOKEN}\r\n\r\n"))).await;
        assert_eq!(head.values("x-user"), ["alice"]);
        server.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(client.head().await.status(), 200);
    }
    let mut client = Client::connect(proxy.address).await;
    assert_eq!(client.request("GET", "/", "").await, (401, "log in first".to_owned()));
    assert_eq!(client.request("POST", "/", "body").await, (401, "log in first".to_owned()));
    proxy.upstream.expect_untouched().await;
    let application = self::proxy(Inner::Application).await;
    for request in &requests {
        assert_eq!(application.connect().await.request(request).await.status(), 200);
    }
}

#[tokio::test]
async fn fields_of_the_hook_replace_those_of_the_client_and_survive_its_connection_field() {
    let proxy = proxy(Inner::Forward).await;
    let forged = [TOKEN, "Connection: x-user, x_user", "X-User: admin", "X_User: admin", "X-User: root"];
    let (.., upgrade) = proxy.request(handshake_with("/", &forged)).await;
    let ordinary = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", forged.join("\r\n"));
    let (.., ordinary) = proxy.request(ordinary).await;
    let mut client = Client::connect(proxy.address).await;
    let request = extended("websocket")
        .header("authorization", "Bearer alice")
        .header("x-user", "admin")
        .header("x_user", "admin");
    let _pending = client.send_request(request.body(()).unwrap(), false);
    let extended = proxy.upstream.accept().await.head().await;
    for head in [upgrade, ordinary, extended] {
        assert_eq!((head.values("x-user"), head.values("x_user")), (vec!["alice".to_owned()], vec![]));
    }
}

#[tokio::test]
async fn the_hook_sees_the_head_as_received_and_may_remove_fields() {
    let (sender, mut heads) = mpsc::unbounded_channel();
    let upstream = ScriptedUpstream::start().await;
    let location = UpgradeProxyLayer::new(upstream.upstream())
        .path(PathRewrite::original_uri())
        .authorize(move |head| {
            sender.send(head).unwrap();
            async { Ok(Authorized::new().remove_header(AUTHORIZATION)) }
        })
        .forward();
    let address = serve(Router::new().nest_service("/ws", location)).await;
    let mut client = Wire::connect(address).await;
    client.send(handshake_with("/ws/a?b", &[TOKEN, "Connection: x-secret", "X-Secret: 1"])).await;
    let sent = upstream.accept().await.head().await;
    assert_eq!(
        (sent.first_line(), sent.values("authorization")),
        ("GET /ws/a?b HTTP/1.1".to_owned(), vec![])
    );
    let head = heads.recv().await.unwrap();
    assert_eq!((head.uri.path(), head.headers["x-secret"].as_bytes()), ("/a", &b"1"[..]));
    assert_eq!(head.headers["upgrade"], "websocket");
    assert_eq!(head.extensions.get::<OriginalUri>().unwrap().0.path(), "/ws/a");
}

#[tokio::test]
async fn the_hook_chooses_the_upstream_and_labels_the_tunnel() {
    let tenants = [ScriptedUpstream::start().await, ScriptedUpstream::start().await];
    let [first, second] = [&tenants[0], &tenants[1]].map(ScriptedUpstream::upstream);
    let chosen = [first.clone(), second.clone()];
    // The layer has no upstream of its own.
    let layer = UpgradeProxyLayer::per_request().authorize(move |head| {
        let upstream = if head.uri.path().starts_with("/b/") { &second } else { &first }.clone();
        async { Ok(Authorized::new().upstream(upstream).label(TunnelLabel::new("tenant"))) }
    });
    let mut proxy = TestProxy::start(Inner::Forward, layer).await;
    let mut open = Vec::new();
    for (path, tenant, upstream) in [("/a/", &tenants[0], &chosen[0]), ("/b/", &tenants[1], &chosen[1])] {
        let mut client = proxy.connect().await;
        client.send(handshake(path)).await;
        let mut server = tenant.accept().await;
        let head = server.head().await;
        server.send(switching_protocols(&head, "")).await;
        assert_eq!(client.head().await.status(), 101);
        let (tunnel, _) = proxy.reports.next().await;
        assert_eq!((tunnel.label(), tunnel.upstream()), (Some("tenant"), upstream));
        open.push((client, server));
        // Ordinary requests too.
        let mut client = proxy.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        tenant.accept().await.head().await;
    }
}

#[tokio::test]
async fn the_hook_is_limited_by_the_handshake_timeout() {
    for inner in [Inner::Application, Inner::Forward] {
        let upstream = ScriptedUpstream::start().await;
        let layer = UpgradeProxyLayer::new(upstream.upstream())
            .handshake_timeout(Duration::from_millis(50))
            .authorize(|_| pending());
        let mut proxy = TestProxy::start(inner, layer).await;
        let ordinary = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned();
        let requests =
            if inner == Inner::Forward { vec![handshake("/"), ordinary] } else { vec![handshake("/")] };
        for request in requests {
            assert_eq!(proxy.connect().await.request(request).await.status(), 504);
            let error = proxy.error().await;
            assert!(error.is_timeout() && !error.is_unauthorized());
            assert_eq!(error.reason(), "authorize_timeout");
        }
        upstream.expect_untouched().await;
    }
}

#[tokio::test]
async fn the_time_of_the_hook_does_not_count_for_the_header_timeout() {
    let limit = Duration::from_secs(1);
    let proxy = ScriptedProxy::start_with(Inner::Forward, |layer| {
        layer.header_timeout(limit).authorize(move |_| async move {
            tokio::time::sleep(limit).await;
            Ok(Authorized::new())
        })
    })
    .await;
    let (mut client, mut server, _) = proxy.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 200);
}

/// Sends a message when it is dropped.
struct OnDrop(mpsc::UnboundedSender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_client_that_disconnects_ends_the_hook() {
    let upstream = ScriptedUpstream::start().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    let layer = UpgradeProxyLayer::new(upstream.upstream()).authorize(move |_| {
        let guard = OnDrop(sender.clone());
        async move {
            let _ = guard.0.send(());
            pending().await
        }
    });
    let proxy = TestProxy::start(Inner::Forward, layer).await;
    let mut client = proxy.connect().await;
    client.send(handshake("/")).await;
    bounded("the call of the hook", events.recv()).await;
    drop(client);
    bounded("the end of the hook", events.recv()).await;
    let mut client = Client::connect(proxy.address).await;
    let stream = client.send_request(extended("websocket").body(()).unwrap(), false);
    bounded("the call of the hook", events.recv()).await;
    drop(stream);
    bounded("the end of the hook", events.recv()).await;
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn a_panic_in_the_hook_ends_only_its_own_request() {
    let upstream = ScriptedUpstream::start().await;
    let layer = UpgradeProxyLayer::new(upstream.upstream()).max_handshakes(1).max_tunnels(1).authorize(
        |head| async move {
            assert!(head.headers.contains_key(AUTHORIZATION), "expected by the test");
            Ok(Authorized::new())
        },
    );
    let proxy = TestProxy::start(Inner::Forward, layer).await;
    let mut client = Client::connect(proxy.address).await;
    let failed = client.send_request(extended("websocket").body(()).unwrap(), false);
    assert!(bounded("the reset", failed.into_response()).await.is_err());
    proxy.connect_with_handshake().await.expect_end().await;
    upstream.expect_untouched().await;
    // Its permits are free, and its connection in HTTP/2 still is open.
    let request = extended("websocket").header("authorization", "x").body(()).unwrap();
    let pending = client.send_request(request, false);
    tokio::join!(pending.tunnel(), upstream.accept_upgrade());
}

#[tokio::test]
async fn the_hook_is_called_after_the_checks_of_the_layer_and_a_rejection_holds_no_permit() {
    let calls = Arc::new(AtomicUsize::new(0));
    let upstream = ScriptedUpstream::start().await;
    let counted = Arc::clone(&calls);
    let drain = Drain::new();
    let layer = UpgradeProxyLayer::new(upstream.upstream())
        .allow_origin(AllowOrigin::same_host())
        .max_tunnels(1)
        .max_tunnels_per_upstream(1)
        .max_handshakes(1)
        .drain(drain.watcher())
        .authorize(move |head| {
            counted.fetch_add(1, Ordering::SeqCst);
            bearer(head)
        });
    let proxy = TestProxy::start(Inner::Application, layer).await;
    let status = async |request: String| proxy.connect().await.request(request).await.status();
    assert_eq!(status(handshake_with("/", &["Origin: http://evil.example", TOKEN])).await, 403);
    assert_eq!(calls.load(Ordering::SeqCst), 0, "the origin is checked first");
    for _ in 0..3 {
        assert_eq!(status(handshake("/")).await, 401);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let mut client = proxy.connect().await;
    client.send(handshake_with("/", &[TOKEN])).await;
    let _server = upstream.accept_upgrade().await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(status(handshake("/")).await, 503, "the limit of tunnels");
    let _drained = drain.shutdown(Duration::from_secs(60));
    assert_eq!(status(handshake("/")).await, 503, "draining");
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_rejection_never_means_a_tunnel() {
    let layer = UpgradeProxyLayer::per_request().authorize(|head: Parts| async move {
        let status: u16 = head.uri.path()[1..].parse().unwrap();
        let mut response = Response::new("body".to_owned());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        Err(if head.uri.query().is_some() { response.status().into() } else { Rejection::from(response) })
    });
    let proxy = TestProxy::start(Inner::Forward, layer).await;
    let mut http2 = Client::connect(proxy.address).await;
    for (sent, http1, connect) in
        [(101, 500, 500), (103, 500, 500), (200, 200, 500), (204, 204, 500), (302, 302, 302), (403, 403, 403)]
    {
        for query in ["", "?"] {
            let path = format!("/{sent}{query}");
            let response = proxy.connect().await.request(handshake(&path)).await;
            assert_eq!(response.status(), http1, "{path}");
            let response = http2.connect_websocket(&path).response().await.0;
            assert_eq!(response.status(), connect, "{path}");
        }
    }
}

/// The same for responses to other failures.
#[tokio::test]
async fn an_error_response_never_means_a_tunnel() {
    let layer = UpgradeProxyLayer::per_request().error_response(|_| Response::new("an error page"));
    for (inner, protocol, status) in [
        (Inner::Application, "websocket", 503),
        (Inner::Forward, "websocket", 503),
        (Inner::Forward, "connect-udp", 501),
    ] {
        let proxy = TestProxy::start(inner, layer.clone()).await;
        let mut client = Client::connect(proxy.address).await;
        let response = client.extended_connect(protocol, "/").response().await.0;
        assert_eq!(response.status(), status, "{protocol}");
    }
    let proxy = TestProxy::start(Inner::Forward, layer).await;
    assert_eq!(proxy.connect_with_handshake().await.head().await.status(), 200);
    let mut client = proxy.connect().await;
    assert_eq!(
        client.request("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n").await.status(),
        405
    );
}

#[tokio::test]
async fn a_rejection_has_its_error_and_a_status_alone_gets_the_error_response() {
    let layer = UpgradeProxyLayer::per_request().authorize(bearer).error_response(|error| {
        let mut response = Response::new(format!("page: {}", error.reason()));
        *response.status_mut() = error.status();
        response
    });
    let mut proxy = TestProxy::start(Inner::Application, layer).await;
    for (fields, status, body) in
        [(&[][..], 401, "log in first"), (&["Authorization: Basic x"], 403, "page: unauthorized")]
    {
        let mut client = proxy.connect().await;
        let head = client.request(handshake_with("/", fields)).await;
        assert_eq!((head.status(), client.body(&head).await), (status, body.as_bytes().to_vec()));
        let error = proxy.error().await;
        assert!(error.is_unauthorized());
        assert_eq!((error.status().as_u16(), error.reason()), (status, "unauthorized"));
    }
}
