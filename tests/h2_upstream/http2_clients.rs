//! Ordinary requests from HTTP/2 clients to an upstream in HTTP/1.1.

use h2::Reason;
use http::{HeaderMap, Request, request::Builder};
use test_support::{
    Head, ScriptedUpstream, TestProxy, Wire,
    http2::{
        Client, PendingResponse,
        stream::{expect, finish, rest, send},
    },
    proxy::Inner,
};
use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};

/// Sends `request`. Returns the pending response, and the upstream's connection with the head received.
async fn forwarded(request: Builder, ends: bool) -> (TestProxy, PendingResponse, Head, Wire) {
    let upstream = ScriptedUpstream::start().await;
    let proxy = TestProxy::start(
        Inner::Forward,
        UpgradeProxyLayer::new(upstream.upstream()).forwarded(Forwarded::all()),
    )
    .await;
    let pending = Client::connect(proxy.address).await.send_request(request.body(()).unwrap(), ends);
    let mut server = upstream.accept().await;
    let head = server.head().await;
    (proxy, pending, head, server)
}

fn post() -> Builder {
    Request::post("https://client.example/a?b")
}

#[tokio::test]
async fn a_request_arrives_with_host_and_forwarding_fields() {
    let request = Request::put("https://client.example/a?b")
        .header("te", "trailers")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("forwarded", "for=6.6.6.6")
        .header("x-forwarded-proto", "gopher");
    let (_proxy, pending, head, mut server) = forwarded(request, true).await;
    assert_eq!(head.first_line(), "PUT /a?b HTTP/1.1");
    let mut fields = head.fields();
    fields.sort();
    let expected = [
        ("connection", "TE"),
        ("cookie", "a=1; b=2"),
        ("forwarded", "for=unknown;host=client.example;proto=http"),
        ("host", "client.example"),
        ("te", "trailers"),
        ("via", "2 tower-upgrade-proxy"),
        ("x-forwarded-host", "client.example"),
        ("x-forwarded-proto", "http"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    server.send("HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok").await;
    let (response, _) = pending.response().await;
    assert!(!response.headers().contains_key("connection") && !response.headers().contains_key("x-hop"));
    assert_eq!(response.headers()["content-length"], "2");
    assert_eq!(rest(&mut response.into_body()).await.unwrap().0, b"ok");
}

#[tokio::test]
async fn bodies_and_trailers_stream_both_ways() {
    let (_proxy, mut pending, head, mut server) = forwarded(post().header("trailer", "x-sum"), false).await;
    assert!(head.has("transfer-encoding", "chunked"), "{head:?}");
    assert_eq!(head.values("trailer"), ["x-sum"]);
    send(&mut pending.send, b"first").await;
    server.expect("5\r\nfirst\r\n").await;
    server.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n").await;
    let (response, mut up) = pending.response().await;
    assert_eq!(response.headers()["trailer"], "X-Sum");
    let mut down = response.into_body();
    expect(&mut down, "ho").await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "up".parse().unwrap());
    up.send_trailers(trailers).unwrap();
    server.expect("0\r\nx-sum: up\r\n\r\n").await;
    server.send("0\r\nX-Sum: down\r\n\r\n").await;
    let (body, trailers) = rest(&mut down).await.unwrap();
    assert_eq!((body.len(), trailers.unwrap()["x-sum"].to_str().unwrap()), (0, "down"));
}

#[tokio::test]
async fn a_known_content_length_is_kept() {
    let (_proxy, mut pending, head, mut server) =
        forwarded(post().header("content-length", "4"), false).await;
    assert!(head.values("transfer-encoding").is_empty());
    send(&mut pending.send, b"body").await;
    finish(&mut pending.send);
    assert_eq!(server.body(&head).await, b"body");
}

#[tokio::test]
async fn responses_without_a_body_are_complete() {
    let cases = [
        ("HEAD", "200 OK\r\nContent-Length: 1234\r\n", Some("1234")),
        ("GET", "204 No Content\r\n", None),
        ("GET", "304 Not Modified\r\nETag: \"x\"\r\n", None),
    ];
    for (method, fields, length) in cases {
        let request = Request::builder().method(method).uri("http://a/");
        let (_proxy, pending, _, mut server) = forwarded(request, true).await;
        server.send(format!("HTTP/1.1 {fields}\r\n")).await;
        let (response, _) = pending.response().await;
        let received = response.headers().get("content-length").map(|length| length.to_str().unwrap());
        assert_eq!(received, length, "{response:?}");
        assert!(rest(&mut response.into_body()).await.unwrap().0.is_empty());
    }
}

#[tokio::test]
async fn an_incomplete_response_resets_the_clients_stream() {
    for framing in ["Content-Length: 100\r\n\r\nfirst", "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"] {
        let (_proxy, pending, _, mut server) = forwarded(post(), true).await;
        server.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        let (response, _) = pending.response().await;
        let mut body = response.into_body();
        expect(&mut body, "first").await;
        drop(server);
        assert!(rest(&mut body).await.unwrap_err().is_reset());
    }
}

#[tokio::test]
async fn a_reset_upload_is_not_completed() {
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (_proxy, mut pending, _, mut server) = forwarded(post(), false).await;
        send(&mut pending.send, b"half of it").await;
        server.expect("A\r\nhalf of it\r\n").await;
        pending.send.send_reset(reason);
        let rest = server.rest().await;
        assert!(rest.is_empty(), "{reason:?}: {:?}", String::from_utf8_lossy(&rest));
    }
}
