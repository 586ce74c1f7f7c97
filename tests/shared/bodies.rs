//! Bodies of ordinary requests and of their answers, forwarded in HTTP/2.

use std::{future::poll_fn, io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::oneshot};
use tower::ServiceExt;
use tower_upgrade_proxy::{Forward, UpgradeProxyLayer};

use crate::{
    client::Client,
    frames::{CONNECT_PROTOCOL, Frames, NO_ERROR},
    proxy::Proxy,
    streams::{expect, finish, rest, send},
    support::{Scripted, Wire, bounded},
    upstream::{Asked, Upstream},
};

async fn behind() -> (Upstream, Proxy) {
    behind_with(|layer| layer).await
}

async fn behind_with(change: impl FnOnce(UpgradeProxyLayer) -> UpgradeProxyLayer) -> (Upstream, Proxy) {
    let upstream = Upstream::start().await;
    let proxy = Proxy::start(change(UpgradeProxyLayer::new(upstream.marked()))).await;
    (upstream, proxy)
}

/// A client in HTTP/1.1 that has sent `request`, and what the upstream got.
async fn asked(request: &str) -> (Upstream, Proxy, Wire, Asked) {
    let (upstream, proxy) = behind().await;
    let mut client = Wire::connect(proxy.address).await;
    client.send(request).await;
    let asked = upstream.asked().await;
    (upstream, proxy, client, asked)
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn ok() -> Response<()> {
    Response::new(())
}

/// Larger than any window.
fn large() -> Vec<u8> {
    (0..1_u32 << 19).flat_map(u32::to_be_bytes).collect()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn large_bodies_arrive_as_they_were_sent_whether_their_length_is_known_or_not() {
    let (upstream, proxy) = behind().await;
    let bytes = large();
    for known in [true, false] {
        let mut client = Wire::connect(proxy.address).await;
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
        let ((), mut asked) = tokio::join!(upload, async {
            let mut asked = upstream.asked().await;
            let (received, trailers) = rest(&mut asked.body).await.unwrap();
            assert!(received == bytes && trailers.is_none());
            asked
        });
        let length = bytes.len().to_string();
        let lengths = if known { vec![length.as_str()] } else { vec![] };
        assert_eq!(asked.field("content-length"), lengths);
        let mut response = ok();
        if known {
            response.headers_mut().insert("content-length", length.parse().unwrap());
        }
        let mut down = asked.respond.send_response(response, false).unwrap();
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
async fn large_bodies_of_http2_clients_arrive_as_they_were_sent() {
    let (upstream, proxy) = behind().await;
    let bytes = large();
    let mut client = Client::connect(proxy.address).await;
    let mut asking = client.ask(Request::post("http://a/").body(()).unwrap(), false);
    let upload = async {
        send(&mut asking.send, &bytes).await;
        finish(&mut asking.send);
    };
    let ((), asked) = tokio::join!(upload, async {
        let mut asked = upstream.asked().await;
        assert!(rest(&mut asked.body).await.unwrap().0 == bytes);
        asked
    });
    let (mut down, _) = asked.begin(ok());
    let (answer, _) = asking.answer().await;
    let mut body = answer.into_body();
    let download = async {
        send(&mut down, &bytes).await;
        finish(&mut down);
    };
    let (received, ()) = tokio::join!(rest(&mut body), download);
    assert!(received.unwrap().0 == bytes);
}

#[tokio::test]
async fn bodies_stream_both_ways() {
    let (_upstream, _proxy, mut client, asked) = asked(&format!("{CHUNKED}5\r\nfirst\r\n")).await;
    let (mut down, mut up) = asked.begin(ok());
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
async fn an_upload_does_not_wait_for_a_client_that_reads_later() {
    const BYTES: usize = 32 << 20;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n");
    let (_upstream, _proxy, mut client, asked) = asked(&head).await;
    let (mut down, mut up) = asked.begin(ok());
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
async fn trailers_go_through_both_ways() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\nTrailer: X-Sum\r\n\
        Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: up\r\n\r\n";
    let (_upstream, proxy, mut client, asked) = asked(request).await;
    assert_eq!((asked.field("te"), asked.field("trailer")), (vec!["trailers"], vec!["X-Sum"]));
    let mut response = ok();
    response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
    let (mut down, mut up) = asked.begin(response);
    let (body, trailers) = rest(&mut up).await.unwrap();
    assert_eq!((body, trailers.unwrap()["x-sum"].to_str().unwrap()), (b"hi".to_vec(), "up"));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "down".parse().unwrap());
    send(&mut down, b"ho").await;
    down.send_trailers(trailers.clone()).unwrap();
    assert_eq!(client.head().await.values("trailer"), ["x-sum"]);
    client.expect("2\r\nho\r\n0\r\nx-sum: down\r\n\r\n").await;

    let mut client = Client::connect(proxy.address).await;
    let mut asking = client.ask(Request::post("http://a/").body(()).unwrap(), false);
    asking.send.send_trailers(trailers.clone()).unwrap();
    let (mut down, mut up) = _upstream.asked().await.begin(ok());
    assert_eq!(rest(&mut up).await.unwrap().1.unwrap(), trailers);
    down.send_trailers(trailers.clone()).unwrap();
    let (answer, _) = asking.answer().await;
    assert_eq!(rest(&mut answer.into_body()).await.unwrap().1.unwrap(), trailers);
}

#[tokio::test]
async fn a_body_that_the_client_breaks_is_a_400_and_resets_the_stream() {
    let (_upstream, mut proxy, mut client, mut asked) = asked(&format!("{CHUNKED}5\r\nfirst\r\n")).await;
    expect(&mut asked.body, "first").await;
    client.send("no chunk\r\n").await;
    assert_eq!(client.head().await.status(), 400);
    let error = proxy.error().await;
    assert!(error.is_bad_request() && !error.is_upstream_protocol(), "{error}");
    expect_cancel(&mut asked.body).await;
}

async fn expect_no_reader(body: &mut SendStream<Bytes>) {
    let reset = bounded("the reset", poll_fn(|cx| body.poll_reset(cx))).await;
    assert_eq!(reset.unwrap(), Reason::CANCEL);
}

async fn expect_cancel(body: &mut RecvStream) {
    assert_eq!(rest(body).await.unwrap_err().reason(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_client_that_leaves_resets_the_stream() {
    let (_upstream, _proxy, client, mut asked) = asked(&format!("{CHUNKED}5\r\nfirst\r\n")).await;
    expect(&mut asked.body, "first").await;
    drop(client);
    expect_cancel(&mut asked.body).await;

    let (_upstream, _proxy, mut client, asked) = self::asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut down, _up) = asked.begin(ok());
    send(&mut down, b"some").await;
    client.head().await;
    drop(client);
    expect_no_reader(&mut down).await;
}

#[tokio::test]
async fn an_answer_that_the_client_breaks_off_in_the_middle_of_its_body_is_broken_off() {
    let (_upstream, _proxy, mut client, asked) = asked(CHUNKED).await;
    let (mut down, mut up) = asked.begin(ok());
    send(&mut down, b"some").await;
    client.head().await;
    client.expect("4\r\nsome\r\n").await;
    client.send("no chunk\r\n").await;
    expect_cancel(&mut up).await;
    client.expect_end().await;
}

/// Without a server in between, which would break the answer off by itself.
#[tokio::test]
async fn an_answer_ends_with_the_error_of_the_requests_body() {
    let upstream = Upstream::start().await;
    let (sender, breaks) = oneshot::channel::<()>();
    let body = Body::from_stream(stream::once(async {
        breaks.await.unwrap();
        Err::<Bytes, _>(io::Error::other("the cable was cut"))
    }));
    let request = Request::post("http://a/").version(http::Version::HTTP_2).body(body).unwrap();
    let forward = Forward::new(upstream.marked());
    let (answer, (mut down, mut up)) =
        tokio::join!(forward.oneshot(request), async { upstream.asked().await.begin(ok()) });
    let mut body = Body::new(answer.unwrap().into_body());
    send(&mut down, b"some").await;
    assert_eq!(bounded("data", body.frame()).await.unwrap().unwrap().into_data().unwrap(), "some");
    sender.send(()).unwrap();
    let error = bounded("the error", body.frame()).await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("the cable was cut"), "{error:?}");
    expect_cancel(&mut up).await;
}

#[tokio::test]
async fn an_answer_that_is_reset_is_not_taken_for_a_whole_one() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR] {
        let (upstream, proxy, mut client, asked) = asked("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (mut down, _up) = asked.begin(ok());
        send(&mut down, b"some").await;
        client.head().await;
        client.expect("4\r\nsome\r\n").await;
        down.send_reset(reason);
        client.expect_end().await;

        let asking =
            Client::connect(proxy.address).await.ask(Request::get("http://a/").body(()).unwrap(), true);
        let (mut down, _up) = upstream.asked().await.begin(ok());
        send(&mut down, b"some").await;
        let mut body = asking.answer().await.0.into_body();
        expect(&mut body, "some").await;
        down.send_reset(reason);
        assert!(rest(&mut body).await.unwrap_err().is_reset(), "{reason}");
    }
}

#[tokio::test]
async fn an_upstream_may_answer_without_reading_the_body() {
    for wants_no_more in [true, false] {
        let upstream = Scripted::start().await;
        let proxy = Proxy::start(UpgradeProxyLayer::new(upstream.upstream().http2())).await;
        let (mut reading, mut writing) = TcpStream::connect(proxy.address).await.unwrap().into_split();
        let upload = tokio::spawn(async move {
            let bytes = vec![0; 8 << 20];
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", bytes.len());
            writing.write_all(head.as_bytes()).await.unwrap();
            // The connection may be closed before it is done.
            let _ = writing.write_all(&bytes).await;
            std::future::pending::<()>().await;
        });
        let mut frames = Frames::accept(&upstream, &[CONNECT_PROTOCOL]).await;
        let stream = frames.asked().await;
        frames.headers(stream, b"\x08\x03413").await;
        frames.data(stream, "too large").await;
        frames.finish(stream).await;
        if wants_no_more {
            frames.reset_stream(stream, NO_ERROR).await;
        }
        let mut client = Wire::new(tokio::io::join(&mut reading, tokio::io::sink()));
        let head = client.head().await;
        assert_eq!((head.status(), client.body(&head).await), (413, b"too large".to_vec()));
        upload.abort();
    }
}

#[tokio::test]
async fn a_silent_upstream_is_a_504_and_resets_the_stream_but_an_upload_may_take_its_time() {
    let (upstream, mut proxy) = behind_with(|layer| layer.header_timeout(Duration::from_millis(400))).await;
    let mut client = Wire::connect(proxy.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut asked = upstream.asked().await;
    let head = client.head().await;
    assert_eq!(head.status(), 504);
    client.body(&head).await;
    assert!(proxy.error().await.is_timeout());
    let reset = bounded("the reset", poll_fn(|cx| asked.respond.poll_reset(cx))).await;
    assert_eq!(reset.unwrap(), Reason::CANCEL);

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n").await;
    let mut asked = upstream.asked().await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send("x").await;
        expect(&mut asked.body, "x").await;
    }
    asked.answer(ok());
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn a_body_that_stops_breaks_the_answer_off_at_the_body_timeout() {
    let (upstream, proxy) = behind_with(|layer| layer.body_timeout(Duration::from_millis(400))).await;
    let mut client = Wire::connect(proxy.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut down, _up) = upstream.asked().await.begin(ok());
    client.head().await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        send(&mut down, b"tick").await;
        client.expect("4\r\ntick\r\n").await;
    }
    client.expect_end().await;
    expect_no_reader(&mut down).await;
}

#[tokio::test]
async fn an_upload_that_an_http2_client_resets_is_not_taken_for_a_whole_one() {
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (upstream, proxy) = behind().await;
        let mut client = Client::connect(proxy.address).await;
        let mut asking = client.ask(Request::post("http://a/").body(()).unwrap(), false);
        send(&mut asking.send, b"half of it").await;
        let mut asked = upstream.asked().await;
        expect(&mut asked.body, "half of it").await;
        asking.send.send_reset(reason);
        expect_cancel(&mut asked.body).await;
    }
}
