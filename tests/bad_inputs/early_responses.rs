//! G. Responses before the end of the request.

use http::StatusCode;
use test_support::{
    Inner, ReservedPort, ScriptedProxy, Wire, bounded, handshake_with,
    http2::{Client, stream},
    serve,
};
use tower_upgrade_proxy::{DiscardUnreadBodyLayer, Upstream, proxy_pass};

/// More than the buffers of all sockets together, so that a server must read it.
const LENGTH: usize = 32 << 20;

fn post(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {LENGTH}\r\n{lines}\r\n")
}

/// Sends a whole request before it reads, and requires `status`. The connection serves the next request.
async fn expect_status(client: &mut Wire, head: &str, status: u16) {
    client.send(head).await;
    client.send(vec![b'x'; LENGTH]).await;
    let head = client.head().await;
    assert_eq!(head.status(), status, "{}", head.text());
    assert!(!client.body(&head).await.is_empty());
}

async fn unreachable() -> (ReservedPort, std::net::SocketAddr) {
    let port = ReservedPort::new();
    let upstream: Upstream = port.uri().parse().unwrap();
    let app = axum::Router::new().fallback_service(proxy_pass(upstream));
    (port, serve(app).await)
}

#[tokio::test]
async fn g11_the_status_reaches_a_client_that_writes_first_and_its_connection_continues() {
    let (_port, address) = unreachable().await;
    let mut client = Wire::connect(address).await;
    for _ in 0..2 {
        expect_status(&mut client, &post(""), 502).await;
    }
}

async fn g11_a_refused_upgrade_with_a_large_body_gets_its_status(inner: Inner) {
    let proxy = ScriptedProxy::start(inner).await;
    let mut client = proxy.connect().await;
    expect_status(&mut client, &handshake_with("/", &[&format!("Content-Length: {LENGTH}")]), 400).await;
    proxy.upstream.expect_untouched().await;
}

on_both![g11_a_refused_upgrade_with_a_large_body_gets_its_status];

#[tokio::test]
async fn g11_in_http_2_the_status_reaches_a_client_that_writes_first() {
    let (_port, address) = unreachable().await;
    let mut client = Client::connect(address).await;
    let request = http::Request::post("http://a.example/").body(()).unwrap();
    let mut pending = client.send_request(request, false);
    for _ in 0..LENGTH >> 20 {
        bounded("the upload", stream::send(&mut pending.send, &[b'x'; 1 << 20])).await;
    }
    stream::finish(&mut pending.send);
    assert_eq!(pending.response().await.0.status(), 502);
}

#[tokio::test]
async fn g11_a_client_that_waits_for_a_100_gets_the_status_alone() {
    let (_port, address) = unreachable().await;
    let mut client = Wire::connect(address).await;
    assert_eq!(client.request(post("Expect: 100-continue\r\n")).await.status(), 502);
}

#[tokio::test]
async fn g11_the_status_of_an_application_reaches_a_client_that_writes_first() {
    let refuse = axum::routing::post(async || (StatusCode::PAYLOAD_TOO_LARGE, "too large"));
    let app = axum::Router::new().route("/", refuse).layer(DiscardUnreadBodyLayer::new());
    let address = serve(app).await;
    let mut client = Wire::connect(address).await;
    for _ in 0..2 {
        expect_status(&mut client, &post(""), 413).await;
    }
    assert_eq!(client.request(post("Expect: 100-continue\r\n")).await.status(), 413);
}

/// Response of an upstream that does not read the request.
const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn g12_the_response_of_an_upstream_that_stops_reading_reaches_the_client() {
    for resets in [false, true] {
        let proxy = ScriptedProxy::start(Inner::Forward).await;
        let mut client = proxy.connect().await;
        client.send(post("")).await;
        let mut server = proxy.upstream.accept().await;
        server.head().await;
        let upload = async {
            expect_status_after_upload(&mut client).await;
        };
        let respond = async {
            // The body comes when the request can no longer be written.
            server.send(TOO_LARGE).await;
            server.send("large").await;
            if resets { drop(server) } else { std::mem::forget(server) }
        };
        tokio::join!(upload, respond);
    }
}

async fn expect_status_after_upload(client: &mut Wire) {
    client.send(vec![b'x'; LENGTH]).await;
    let head = client.head().await;
    assert_eq!(head.status(), 413, "{}", head.text());
    assert_eq!(client.body(&head).await, b"large");
}
