//! Ordinary requests in HTTP/2 that are aborted: by the client, by the upstream, or by a timeout.

use std::{future::poll_fn, io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use http_body_util::BodyExt;
use test_support::{
    ScriptedUpstream, TestProxy, Wire, bounded,
    http2::{
        Client, FrameConnection, Upstream,
        frame::{CONNECT_PROTOCOL, NO_ERROR},
        stream::{expect, rest, send},
    },
    proxy::Inner,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::oneshot};
use tower::ServiceExt;
use tower_upgrade_proxy::{Forward, UpgradeProxyLayer};

use crate::bodies::{CHUNKED, behind, behind_with, forwarded, ok};

#[tokio::test]
async fn a_malformed_request_body_is_a_400_and_resets_the_stream() {
    let (_upstream, mut proxy, mut client, mut incoming) =
        forwarded(&format!("{CHUNKED}5\r\nfirst\r\n")).await;
    expect(&mut incoming.body, "first").await;
    client.send("no chunk\r\n").await;
    assert_eq!(client.head().await.status(), 400);
    let error = proxy.error().await;
    assert!(error.is_bad_request() && !error.is_upstream_protocol(), "{error}");
    expect_cancel(&mut incoming.body).await;
}

async fn expect_no_reader(body: &mut SendStream<Bytes>) {
    let reset = bounded("the reset", poll_fn(|cx| body.poll_reset(cx))).await;
    assert_eq!(reset.unwrap(), Reason::CANCEL);
}

async fn expect_cancel(body: &mut RecvStream) {
    assert_eq!(rest(body).await.unwrap_err().reason(), Some(Reason::CANCEL));
}

#[tokio::test]
async fn a_client_that_disconnects_resets_the_stream() {
    let (_upstream, _proxy, client, mut incoming) = forwarded(&format!("{CHUNKED}5\r\nfirst\r\n")).await;
    expect(&mut incoming.body, "first").await;
    drop(client);
    expect_cancel(&mut incoming.body).await;

    let (_upstream, _proxy, mut client, incoming) = forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut down, _up) = incoming.begin(ok());
    send(&mut down, b"some").await;
    client.head().await;
    drop(client);
    expect_no_reader(&mut down).await;
}

#[tokio::test]
async fn a_malformed_request_body_aborts_a_response_in_progress() {
    let (_upstream, _proxy, mut client, incoming) = forwarded(CHUNKED).await;
    let (mut down, mut up) = incoming.begin(ok());
    send(&mut down, b"some").await;
    client.head().await;
    client.expect("4\r\nsome\r\n").await;
    client.send("no chunk\r\n").await;
    expect_cancel(&mut up).await;
    client.expect_end().await;
}

/// Without a server in front, which would abort the response by itself.
#[tokio::test]
async fn a_response_ends_with_the_error_of_the_request_body() {
    let upstream = Upstream::start().await;
    let (sender, breaks) = oneshot::channel::<()>();
    let body = Body::from_stream(stream::once(async {
        breaks.await.unwrap();
        Err::<Bytes, _>(io::Error::other("the cable was cut"))
    }));
    let request = Request::post("http://a/").version(http::Version::HTTP_2).body(body).unwrap();
    let forward = Forward::new(upstream.upstream());
    let (response, (mut down, mut up)) =
        tokio::join!(forward.oneshot(request), async { upstream.next_request().await.begin(ok()) });
    let mut body = Body::new(response.unwrap().into_body());
    send(&mut down, b"some").await;
    assert_eq!(bounded("data", body.frame()).await.unwrap().unwrap().into_data().unwrap(), "some");
    sender.send(()).unwrap();
    let error = bounded("the error", body.frame()).await.unwrap().unwrap_err();
    assert!(format!("{error:?}").contains("the cable was cut"), "{error:?}");
    expect_cancel(&mut up).await;
}

#[tokio::test]
async fn a_reset_response_is_aborted() {
    for reason in [Reason::INTERNAL_ERROR, Reason::CANCEL, Reason::NO_ERROR] {
        let (upstream, proxy, mut client, incoming) = forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let (mut down, _up) = incoming.begin(ok());
        send(&mut down, b"some").await;
        client.head().await;
        client.expect("4\r\nsome\r\n").await;
        down.send_reset(reason);
        client.expect_end().await;

        let pending = Client::connect(proxy.address)
            .await
            .send_request(Request::get("http://a/").body(()).unwrap(), true);
        let (mut down, _up) = upstream.next_request().await.begin(ok());
        send(&mut down, b"some").await;
        let mut body = pending.response().await.0.into_body();
        expect(&mut body, "some").await;
        down.send_reset(reason);
        assert!(rest(&mut body).await.unwrap_err().is_reset(), "{reason}");
    }
}

#[tokio::test]
async fn an_upstream_may_respond_without_reading_the_body() {
    for resets in [true, false] {
        let upstream = ScriptedUpstream::start().await;
        let proxy =
            TestProxy::start(Inner::Forward, UpgradeProxyLayer::new(upstream.upstream().http2())).await;
        let (mut reading, mut writing) = TcpStream::connect(proxy.address).await.unwrap().into_split();
        let upload = tokio::spawn(async move {
            let bytes = vec![0; 8 << 20];
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", bytes.len());
            writing.write_all(head.as_bytes()).await.unwrap();
            // The connection may be closed before all of it is written.
            let _ = writing.write_all(&bytes).await;
            std::future::pending::<()>().await;
        });
        let mut frames = FrameConnection::accept(&upstream, &[CONNECT_PROTOCOL]).await;
        let stream = frames.next_request().await;
        frames.headers(stream, b"\x08\x03413").await;
        frames.data(stream, "too large").await;
        frames.finish(stream).await;
        if resets {
            frames.reset_stream(stream, NO_ERROR).await;
        }
        let mut client = Wire::new(tokio::io::join(&mut reading, tokio::io::sink()));
        let head = client.head().await;
        assert_eq!((head.status(), client.body(&head).await), (413, b"too large".to_vec()));
        upload.abort();
    }
}

#[tokio::test]
async fn the_header_timeout_is_a_504_and_starts_anew_with_each_frame_of_an_upload() {
    let (upstream, mut proxy) = behind_with(|layer| layer.header_timeout(Duration::from_millis(1500))).await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut incoming = upstream.next_request().await;
    let head = client.head().await;
    assert_eq!(head.status(), 504);
    client.body(&head).await;
    assert!(proxy.error().await.is_timeout());
    let reset = bounded("the reset", poll_fn(|cx| incoming.respond.poll_reset(cx))).await;
    assert_eq!(reset.unwrap(), Reason::CANCEL);

    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n").await;
    let mut incoming = upstream.next_request().await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        client.send("x").await;
        expect(&mut incoming.body, "x").await;
    }
    incoming.respond(ok());
    assert_eq!(client.head().await.status(), 200);
}

#[tokio::test]
async fn a_paused_upload_is_a_408_and_one_that_the_upstream_does_not_read_a_504() {
    let (upstream, mut proxy) = behind_with(|layer| layer.header_timeout(Duration::from_millis(300))).await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf").await;
    let mut incoming = upstream.next_request().await;
    expect(&mut incoming.body, "half").await;
    let head = client.head().await;
    assert!(head.status() == 408 && head.has("connection", "close"), "{}", head.text());
    let error = proxy.error().await;
    assert!(error.is_request_timeout() && !error.is_timeout() && error.upstream().is_none(), "{error}");
    expect_cancel(&mut incoming.body).await;

    for bytes in [4, 1 << 20] {
        let mut client = Client::connect(proxy.address).await;
        let mut pending = client.send_request(Request::post("http://a/").body(()).unwrap(), false);
        let upload = tokio::spawn(async move {
            send(&mut pending.send, &vec![0; bytes]).await;
            std::future::pending::<()>().await;
        });
        let _incoming = upstream.next_request().await;
        let error = proxy.error().await;
        assert_eq!(error.status(), if bytes == 4 { 408 } else { 504 }, "{error}");
        upload.abort();
    }
}

#[tokio::test]
async fn a_stalled_response_is_aborted_at_the_body_timeout() {
    let (upstream, proxy) = behind_with(|layer| layer.body_timeout(Duration::from_millis(1500))).await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (mut down, _up) = upstream.next_request().await.begin(ok());
    client.head().await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        send(&mut down, b"tick").await;
        client.expect("4\r\ntick\r\n").await;
    }
    client.expect_end().await;
    expect_no_reader(&mut down).await;
}

#[tokio::test]
async fn an_upload_reset_by_an_http2_client_is_cancelled() {
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (upstream, proxy) = behind().await;
        let mut client = Client::connect(proxy.address).await;
        let mut pending = client.send_request(Request::post("http://a/").body(()).unwrap(), false);
        send(&mut pending.send, b"half of it").await;
        let mut incoming = upstream.next_request().await;
        expect(&mut incoming.body, "half of it").await;
        pending.send.send_reset(reason);
        expect_cancel(&mut incoming.body).await;
    }
}
