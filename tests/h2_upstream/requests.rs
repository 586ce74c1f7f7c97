//! Heads of ordinary requests and responses, forwarded in HTTP/2.

use http::{HeaderMap, Request, Response};
use test_support::{
    ScriptedUpstream, TestProxy, handshake,
    http2::{
        Client, Frame, FrameConnection, Upstream,
        frame::{CONNECT_PROTOCOL, REFUSED_STREAM},
        stream::finish,
    },
    proxy::Inner,
};
use tower_upgrade_proxy::{Host, UpgradeProxyLayer};

use crate::bodies::behind;

/// Names and values, sorted.
fn sorted(headers: &HeaderMap) -> Vec<(String, String)> {
    let lines = headers.iter().filter(|(name, _)| *name != "date");
    let mut lines: Vec<_> =
        lines.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    lines.sort();
    lines
}

fn owned(lines: &[(&str, &str)]) -> Vec<(String, String)> {
    lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn response(status: u16, fields: &[(&str, &str)]) -> Response<()> {
    let builder = Response::builder().status(status);
    let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).unwrap()
}

#[tokio::test]
async fn hop_by_hop_fields_of_an_http1_request_are_removed() {
    let (upstream, proxy) = behind().await;
    let mut client = proxy.connect().await;
    client
        .send(
            "DELETE /a/%2F?q=1&q=2 HTTP/1.1\r\nHost: client.example:81\r\nConnection: keep-alive, X-Hop, Upgrade\r\n\
             X-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip, trailers\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMA\r\nX-Odd: 1\r\nX-Odd: 2\r\nCookie: a=1; b=2\r\nTransfer-Encoding: chunked\r\n\r\n\
             0\r\n\r\n",
        )
        .await;
    let incoming = upstream.next_request().await;
    assert_eq!(incoming.head.method, "DELETE");
    assert_eq!(incoming.head.uri, "http://client.example:81/a/%2F?q=1&q=2");
    let expected = [("cookie", "a=1; b=2"), ("te", "trailers"), ("x-odd", "1"), ("x-odd", "2")];
    assert_eq!(sorted(&incoming.head.headers), owned(&expected));
    incoming.respond(response(201, &[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("content-length", "0")]));
    let head = client.head().await;
    assert_eq!(head.first_line(), "HTTP/1.1 201 Created");
    assert_eq!(head.values("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(head.values("content-length"), ["0"]);
}

#[tokio::test]
async fn an_http2_request_arrives_unchanged() {
    let (upstream, proxy) = behind().await;
    let request = Request::put("http://client.example/a?b")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("x-odd", "1");
    let pending = Client::connect(proxy.address).await.send_request(request.body(()).unwrap(), true);
    let incoming = upstream.next_request().await;
    assert_eq!(
        (incoming.head.method.as_str(), incoming.head.uri.to_string()),
        ("PUT", "http://client.example/a?b".into())
    );
    let expected = [("cookie", "a=1; b=2"), ("te", "trailers"), ("x-odd", "1")];
    assert_eq!(sorted(&incoming.head.headers), owned(&expected));
    incoming.respond(response(200, &[("x-up", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]));
    let (response, _) = pending.response().await;
    let expected = [("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-up", "1")];
    assert_eq!((response.status().as_u16(), sorted(response.headers())), (200, owned(&expected)));
}

#[tokio::test]
async fn the_authority_follows_the_host_policy() {
    let policies: [(Host, Option<&str>); 3] = [
        (Host::preserve(), Some("client.example")),
        (Host::upstream(), None),
        (Host::fixed("fixed.example:8080").unwrap(), Some("fixed.example:8080")),
    ];
    for (host, expected) in policies {
        let upstream = Upstream::start().await;
        let proxy =
            TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream()).host(host)).await;
        let authority = upstream.authority();
        let expected = expected.unwrap_or(&authority);
        let mut http1 = proxy.connect().await;
        http1.send("GET / HTTP/1.1\r\nHost: client.example\r\n\r\n").await;
        let incoming = upstream.next_request().await;
        assert_eq!(incoming.head.uri.authority().unwrap(), expected);
        assert!(incoming.values("host").is_empty());
        let request = Request::get("http://client.example/").body(()).unwrap();
        let _pending = Client::connect(proxy.address).await.send_request(request, true);
        let incoming = upstream.next_request().await;
        assert_eq!(incoming.head.uri.authority().unwrap(), expected);
        assert!(incoming.values("host").is_empty());
    }
}

#[tokio::test]
async fn an_http_1_0_request_without_host_gets_the_upstreams_authority() {
    let (upstream, proxy) = behind().await;
    let mut client = proxy.connect().await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    let incoming = upstream.next_request().await;
    assert_eq!(incoming.head.uri.to_string(), format!("http://{}/old", upstream.authority()));
    incoming.respond(response(200, &[]));
    assert_eq!(client.head().await.status(), 200);
    client.expect_end().await;
}

#[tokio::test]
async fn a_host_that_is_not_an_authority_is_a_400() {
    let upstream = Upstream::start().await;
    for host in ["no authority", "user@a.example", "a.example:port"] {
        let layer = UpgradeProxyLayer::new(upstream.upstream()).host(Host::fixed(host).unwrap());
        let mut proxy = TestProxy::start(Inner::Forward, layer).await;
        let mut client = proxy.connect().await;
        assert_eq!(client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status(), 400, "{host}");
        assert!(proxy.error().await.is_bad_request());
        assert_eq!(proxy.connect_with_handshake().await.head().await.status(), 400, "{host}");
    }
}

/// Neither does h2 have a place for it.
#[tokio::test]
async fn a_percent_encoded_host_is_a_400() {
    let (_upstream, proxy) = behind().await;
    let request = "GET / HTTP/1.1\r\nHost: %2Frun%2Fa.sock\r\n\r\n";
    assert_eq!(proxy.connect().await.request(request).await.status(), 400);
    let request = handshake("/").replace("client.example", "%2Frun%2Fa.sock");
    assert_eq!(proxy.connect().await.request(request).await.status(), 400);
}

#[tokio::test]
async fn responses_without_a_body_keep_their_length_and_the_connection() {
    let (upstream, proxy) = behind().await;
    let mut http1 = proxy.connect().await;
    let mut http2 = Client::connect(proxy.address).await;
    let cases: [(&str, u16, Option<&str>); 4] =
        [("HEAD", 200, Some("1234")), ("GET", 204, None), ("GET", 304, None), ("HEAD", 404, None)];
    for (method, status, length) in cases {
        let length: Vec<_> = length.map(|length| ("content-length", length)).into_iter().collect();
        http1.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let incoming = upstream.next_request().await;
        assert_eq!(incoming.head.method, method);
        incoming.respond(response(status, &length));
        let head = http1.head().await;
        assert_eq!(head.status(), status);
        let lengths = head.values("content-length");
        assert_eq!(lengths, length.iter().map(|(_, value)| *value).collect::<Vec<_>>(), "{method} {status}");

        let request = Request::builder().method(method).uri("http://a/").body(()).unwrap();
        let pending = http2.send_request(request, true);
        upstream.next_request().await.respond(response(status, &length));
        let (response, _) = pending.response().await;
        assert_eq!(response.status(), status);
        assert!(response.body().is_end_stream());
        let lengths: Vec<_> = response.headers().get_all("content-length").iter().collect();
        assert_eq!(lengths, length.iter().map(|(_, value)| *value).collect::<Vec<_>>(), "{method} {status}");
    }
    http1.send("GET /after HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(upstream.next_request().await.head.uri.path(), "/after");
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn requests_and_tunnels_share_a_connection() {
    let (upstream, proxy) = behind().await;
    let mut clients = Vec::new();
    for number in 0..10 {
        let mut client = proxy.connect().await;
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        clients.push((client, upstream.next_request().await));
    }
    let mut tunnel = proxy.connect_with_handshake().await;
    let incoming = upstream.next_request().await;
    assert_eq!(incoming.head.method, "CONNECT");
    let _streams = incoming.begin(response(200, &[]));
    assert_eq!(tunnel.head().await.status(), 101);
    // Respond in reverse order.
    for (mut client, incoming) in clients.into_iter().rev() {
        let path = incoming.head.uri.path().to_owned();
        incoming.respond(response(200, &[("x-path", &path)]));
        assert_eq!(client.head().await.values("x-path"), [path]);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn a_response_holds_its_stream_until_the_end_of_its_body() {
    let upstream = Upstream::allowing(1).await;
    let proxy = TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream())).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut first = proxy.connect().await;
    first.send(request).await;
    let (mut down, _up) = upstream.next_request().await.begin(response(200, &[]));
    let head = first.head().await;
    let mut second = proxy.connect().await;
    second.send(request).await;
    let other = upstream.next_request().await;
    assert_eq!(upstream.connections(), 2);

    finish(&mut down);
    assert!(first.body(&head).await.is_empty());
    first.send(request).await;
    upstream.next_request().await.respond(response(204, &[]));
    assert_eq!(first.head().await.status(), 204);
    assert_eq!(upstream.connections(), 2);
    other.respond(response(204, &[]));
    assert_eq!(second.head().await.status(), 204);
}

#[tokio::test]
async fn an_unprocessed_request_without_a_body_is_sent_again() {
    let upstream = ScriptedUpstream::start().await;
    let mut proxy =
        TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream().http2())).await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut old = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    old.expect(Frame::Headers { stream: 1, status: None, ends: true }).await;
    old.reset_stream(1, REFUSED_STREAM).await;
    old.expect(Frame::Headers { stream: 3, status: None, ends: true }).await;
    old.goaway(1).await;
    let mut new = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
    new.expect(Frame::Headers { stream: 1, status: None, ends: true }).await;
    new.last_headers(1, b"\x89").await;
    assert_eq!(client.head().await.status(), 204);

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").await;
    let stream = new.next_request().await;
    new.expect_data(stream, "body").await;
    new.expect(Frame::Data { stream, bytes: vec![], ends: true }).await;
    new.reset_stream(stream, REFUSED_STREAM).await;
    assert_eq!(client.head().await.status(), 502);
    assert!(proxy.error().await.is_upstream_protocol());
    upstream.expect_untouched().await;
}
