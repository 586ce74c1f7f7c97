//! Bodies of ordinary requests and responses, forwarded in HTTP/2.

use http::{HeaderMap, Request, Response};
use test_support::{
    TestProxy, Wire, bounded,
    http2::{
        Client, ReceivedRequest, Upstream,
        stream::{expect, finish, rest, send},
    },
    proxy::Inner,
};
use tower_upgrade_proxy::UpgradeProxyLayer;

pub(crate) async fn behind() -> (Upstream, TestProxy) {
    behind_with(|layer| layer).await
}

pub(crate) async fn behind_with(
    change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer,
) -> (Upstream, TestProxy) {
    let upstream = Upstream::start().await;
    let proxy = TestProxy::start(Inner::Forward, change(UpgradeProxyLayer::new(upstream.upstream()))).await;
    (upstream, proxy)
}

/// Sends `request` in HTTP/1.1. Returns the client, and the request that the upstream receives.
pub(crate) async fn forwarded(request: &str) -> (Upstream, TestProxy, Wire, ReceivedRequest) {
    let (upstream, proxy) = behind().await;
    let mut client = proxy.connect().await;
    client.send(request).await;
    let incoming = upstream.next_request().await;
    (upstream, proxy, client, incoming)
}

pub(crate) const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

pub(crate) fn ok() -> Response<()> {
    Response::new(())
}

/// A body larger than any window.
fn large() -> Vec<u8> {
    (0..1_u32 << 19).flat_map(u32::to_be_bytes).collect()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn small_frames_that_are_available_are_sent_together() {
    const FRAMES: usize = 3000;
    let (_upstream, _proxy, mut client, incoming) = forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut down, _up) = incoming.begin(ok());
    client.head().await;
    for _ in 0..FRAMES {
        down.send_data("x".into(), false).unwrap();
    }
    finish(&mut down);
    let mut chunks = String::new();
    while !chunks.ends_with("\r\n0\r\n\r\n") {
        chunks.push_str(std::str::from_utf8(&client.exactly(1).await).unwrap());
    }
    let body = chunks.matches('x').count();
    let lines = chunks.lines().count() / 2;
    assert!(body == FRAMES && lines < FRAMES / 10, "{lines} chunks for {body} bytes");
}

#[tokio::test]
async fn large_bodies_of_known_and_unknown_length_arrive_unchanged() {
    let (upstream, proxy) = behind().await;
    let bytes = large();
    for known in [true, false] {
        let mut client = proxy.connect().await;
        let (request, body) = match known {
            true => (
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", bytes.len()),
                bytes.clone(),
            ),
            false => (CHUNKED.to_owned(), [chunk(&bytes), chunk(b"")].concat()),
        };
        let upload = async {
            client.send(request).await;
            client.send(body).await;
        };
        let ((), mut incoming) = tokio::join!(upload, async {
            let mut incoming = upstream.next_request().await;
            let (received, trailers) = rest(&mut incoming.body).await.unwrap();
            assert!(received == bytes && trailers.is_none());
            incoming
        });
        let length = bytes.len().to_string();
        let lengths = if known { vec![length.as_str()] } else { vec![] };
        assert_eq!(incoming.values("content-length"), lengths);
        let mut response = ok();
        if known {
            response.headers_mut().insert("content-length", length.parse().unwrap());
        }
        let mut down = incoming.respond.send_response(response, false).unwrap();
        let (received, ()) = tokio::join!(
            async {
                let head = client.head().await;
                assert_eq!(head.has("content-length", &length), known);
                client.body(&head).await
            },
            async {
                send(&mut down, &bytes).await;
                finish(&mut down);
            }
        );
        assert!(received == bytes);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn large_bodies_of_http2_clients_arrive_unchanged() {
    let (upstream, proxy) = behind().await;
    let bytes = large();
    let mut client = Client::connect(proxy.address).await;
    let mut pending = client.send_request(Request::post("http://a/").body(()).unwrap(), false);
    let upload = async {
        send(&mut pending.send, &bytes).await;
        finish(&mut pending.send);
    };
    let ((), incoming) = tokio::join!(upload, async {
        let mut incoming = upstream.next_request().await;
        assert!(rest(&mut incoming.body).await.unwrap().0 == bytes);
        incoming
    });
    let (mut down, _) = incoming.begin(ok());
    let (response, _) = pending.response().await;
    let mut body = response.into_body();
    let download = async {
        send(&mut down, &bytes).await;
        finish(&mut down);
    };
    let (received, ()) = tokio::join!(rest(&mut body), download);
    assert!(received.unwrap().0 == bytes);
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let (_upstream, _proxy, mut client, incoming) = forwarded(&format!("{CHUNKED}5\r\nfirst\r\n")).await;
    let (mut down, mut up) = incoming.begin(ok());
    expect(&mut up, "first").await;
    client.head().await;
    for number in 0..5 {
        send(&mut down, b"down").await;
        client.expect("4\r\ndown\r\n").await;
        client.send(format!("5\r\nup {number:2}\r\n")).await;
        expect(&mut up, &format!("up {number:2}")).await;
    }
    client.send("0\r\n\r\n").await;
    assert!(rest(&mut up).await.unwrap().0.is_empty());
    send(&mut down, b"after").await;
    finish(&mut down);
    client.expect("5\r\nafter\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn an_upload_continues_while_the_client_does_not_read() {
    const BYTES: usize = 32 << 20;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n");
    let (_upstream, _proxy, mut client, incoming) = forwarded(&head).await;
    let (mut down, mut up) = incoming.begin(ok());
    let download = tokio::spawn(async move {
        send(&mut down, &vec![0; BYTES]).await;
        finish(&mut down);
    });
    let upload = tokio::spawn(async move { rest(&mut up).await.unwrap().0.len() });
    client.send(vec![0; BYTES]).await;
    assert_eq!(bounded("the upload", upload).await.unwrap(), BYTES);
    let head = client.head().await;
    assert_eq!(client.body(&head).await.len(), BYTES);
    download.await.unwrap();
}

#[tokio::test]
async fn trailers_are_forwarded_both_ways() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\nTrailer: X-Sum\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: up\r\n\r\n";
    let (_upstream, proxy, mut client, incoming) = forwarded(request).await;
    assert_eq!((incoming.values("te"), incoming.values("trailer")), (vec!["trailers"], vec!["X-Sum"]));
    let mut response = ok();
    response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
    let (mut down, mut up) = incoming.begin(response);
    let (body, trailers) = rest(&mut up).await.unwrap();
    assert_eq!((body, trailers.unwrap()["x-sum"].to_str().unwrap()), (b"hi".to_vec(), "up"));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "down".parse().unwrap());
    send(&mut down, b"ho").await;
    down.send_trailers(trailers.clone()).unwrap();
    assert_eq!(client.head().await.values("trailer"), ["x-sum"]);
    client.expect("2\r\nho\r\n0\r\nx-sum: down\r\n\r\n").await;

    let mut client = Client::connect(proxy.address).await;
    let mut pending = client.send_request(Request::post("http://a/").body(()).unwrap(), false);
    pending.send.send_trailers(trailers.clone()).unwrap();
    let (mut down, mut up) = _upstream.next_request().await.begin(ok());
    assert_eq!(rest(&mut up).await.unwrap().1.unwrap(), trailers);
    down.send_trailers(trailers.clone()).unwrap();
    let (response, _) = pending.response().await;
    assert_eq!(rest(&mut response.into_body()).await.unwrap().1.unwrap(), trailers);
}

/// The names of a sorted list of fields.
fn names(trailers: Option<HeaderMap>) -> Vec<String> {
    let mut names: Vec<_> = trailers.unwrap_or_default().keys().map(ToString::to_string).collect();
    names.sort_unstable();
    names
}

/// Trailers of which only `grpc-status` and `x-sum` may pass.
fn forged() -> HeaderMap {
    let names = [
        "x-forwarded-for",
        "x_forwarded_for",
        "x-real-ip",
        "forwarded",
        "via",
        "authorization",
        "set-cookie",
        "content-type",
        "proxy-authorization",
        "host",
        "x-sum",
        "grpc-status",
    ];
    names.into_iter().map(|name| (name.parse().unwrap(), "1".parse().unwrap())).collect()
}

#[tokio::test]
async fn trailers_follow_the_rules_for_heads() {
    // The client in HTTP/1.1.
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: TE, X-Hop\r\nTE: trailers\r\n\
        Trailer: X-Sum, X-Real-IP, X-Hop\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nhi\r\n0\r\nX-Sum: up\r\nX-Real-IP: 6.6.6.6\r\nX-Hop: 1\r\nX_Hop: 1\r\n\r\n";
    let (upstream, proxy, mut client, incoming) = forwarded(request).await;
    assert_eq!(incoming.values("trailer"), ["X-Sum"]);
    let mut response = ok();
    response.headers_mut().insert("trailer", "x-sum, x-real-ip".parse().unwrap());
    let (mut down, mut up) = incoming.begin(response);
    assert_eq!(names(rest(&mut up).await.unwrap().1), ["x-sum"]);
    down.send_trailers(forged()).unwrap();
    assert_eq!(client.head().await.values("trailer"), ["x-sum"]);
    client.expect("0\r\nx-sum: 1\r\n\r\n").await;

    // The client in HTTP/2.
    let mut client = Client::connect(proxy.address).await;
    let mut pending = client.send_request(Request::post("http://a/").body(()).unwrap(), false);
    pending.send.send_trailers(forged()).unwrap();
    let (mut down, mut up) = upstream.next_request().await.begin(ok());
    assert_eq!(names(rest(&mut up).await.unwrap().1), ["grpc-status", "x-sum"]);
    down.send_trailers(forged()).unwrap();
    let (response, _) = pending.response().await;
    assert_eq!(names(rest(&mut response.into_body()).await.unwrap().1), ["grpc-status", "x-sum"]);
}
