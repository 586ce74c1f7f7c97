//! Ordinary requests the other way round: clients in HTTP/2, upstreams in HTTP/1.1.

use h2::Reason;
use http::{HeaderMap, Request, request::Builder};
use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer};

use crate::{
    client::{Asked, Client},
    proxy::Proxy,
    streams::{expect, finish, rest, send},
    support::{Head, Scripted, Wire},
};

/// A request, and the connection on which it has arrived.
async fn asked(request: Builder, ends: bool) -> (Proxy, Asked, Head, Wire) {
    let upstream = Scripted::start().await;
    let proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream()).forwarded(Forwarded::all())).await;
    let asked = Client::connect(proxy.address).await.ask(request.body(()).unwrap(), ends);
    let mut server = upstream.accept().await;
    let head = server.head().await;
    (proxy, asked, head, server)
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
    let (_proxy, asked, head, mut server) = asked(request, true).await;
    assert_eq!(head.first_line(), "PUT /a?b HTTP/1.1");
    let mut fields = head.fields();
    fields.sort();
    let expected = [
        ("connection", "TE"),
        ("cookie", "a=1; b=2"),
        ("forwarded", "for=unknown;host=client.example;proto=https"),
        ("host", "client.example"),
        ("te", "trailers"),
        ("via", "2 tower-upgrade-proxy"),
        ("x-forwarded-host", "client.example"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    server.send("HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok").await;
    let (answer, _) = asked.answer().await;
    assert!(!answer.headers().contains_key("connection") && !answer.headers().contains_key("x-hop"));
    assert_eq!(answer.headers()["content-length"], "2");
    assert_eq!(rest(&mut answer.into_body()).await.unwrap().0, b"ok");
}

#[tokio::test]
async fn bodies_and_trailers_stream_both_ways() {
    let (_proxy, mut asked, head, mut server) = asked(post().header("trailer", "x-sum"), false).await;
    assert!(head.has("transfer-encoding", "chunked"), "{head:?}");
    assert_eq!(head.values("trailer"), ["x-sum"]);
    send(&mut asked.send, b"first").await;
    server.expect("5\r\nfirst\r\n").await;
    server.send("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n").await;
    let (answer, mut up) = asked.answer().await;
    assert_eq!(answer.headers()["trailer"], "X-Sum");
    let mut down = answer.into_body();
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
    let (_proxy, mut asked, head, mut server) = asked(post().header("content-length", "4"), false).await;
    assert!(head.values("transfer-encoding").is_empty());
    send(&mut asked.send, b"body").await;
    finish(&mut asked.send);
    assert_eq!(server.body(&head).await, b"body");
}

#[tokio::test]
async fn responses_without_a_body_are_complete() {
    let cases = [
        ("HEAD", "200 OK\r\nContent-Length: 1234\r\n", Some("1234")),
        ("GET", "204 No Content\r\n", None),
        ("GET", "304 Not Modified\r\nETag: \"x\"\r\n", None),
    ];
    for (method, answer, length) in cases {
        let request = Request::builder().method(method).uri("http://a/");
        let (_proxy, asked, _, mut server) = asked(request, true).await;
        server.send(format!("HTTP/1.1 {answer}\r\n")).await;
        let (answer, _) = asked.answer().await;
        let given = answer.headers().get("content-length").map(|length| length.to_str().unwrap());
        assert_eq!(given, length, "{answer:?}");
        assert!(rest(&mut answer.into_body()).await.unwrap().0.is_empty());
    }
}

#[tokio::test]
async fn an_incomplete_response_resets_the_clients_stream() {
    for framing in ["Content-Length: 100\r\n\r\nfirst", "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"] {
        let (_proxy, asked, _, mut server) = asked(post(), true).await;
        server.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        let (answer, _) = asked.answer().await;
        let mut body = answer.into_body();
        expect(&mut body, "first").await;
        drop(server);
        assert!(rest(&mut body).await.unwrap_err().is_reset());
    }
}

#[tokio::test]
async fn a_reset_upload_is_not_completed() {
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (_proxy, mut asked, _, mut server) = asked(post(), false).await;
        send(&mut asked.send, b"half of it").await;
        server.expect("A\r\nhalf of it\r\n").await;
        asked.send.send_reset(reason);
        let rest = server.rest().await;
        assert!(rest.is_empty(), "{reason:?}: {:?}", String::from_utf8_lossy(&rest));
    }
}
