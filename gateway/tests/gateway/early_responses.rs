//! Responses before the end of the request: the status reaches a client that writes first.

use test_support::{ReservedPort, Wire, tls::CertificateFiles};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Gateway, https};

/// More than the buffers of the sockets.
const LENGTH: usize = 32 << 20;

async fn expect_status<S: AsyncRead + AsyncWrite + Unpin>(mut client: Wire<S>, start: &str, status: u16) {
    client.send(format!("{start}\r\nHost: a.example\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    client.send(vec![b'x'; LENGTH]).await;
    let head = client.head().await;
    assert_eq!(head.status(), status, "{start}: {}", head.text());
}

/// Requests that the library, the gateway and hyper refuse.
const REFUSED: [(&str, u16); 3] =
    [("POST /down HTTP/1.1", 502), ("POST /none HTTP/1.1", 404), ("POST /down HTTP/1.1\r\nA B: c", 400)];

#[tokio::test]
async fn the_status_arrives_without_tls() {
    let port = ReservedPort::new();
    let gateway = Gateway::start(&["--route", &format!("/down={}", port.uri())]).await;
    for (start, status) in REFUSED {
        expect_status(gateway.wire().await, start, status).await;
    }
}

#[tokio::test]
async fn the_status_arrives_with_tls() {
    let (port, files) = (ReservedPort::new(), CertificateFiles::new());
    let gateway = https::start(&files, &["--route", &format!("/down={}", port.uri())]).await;
    for (start, status) in REFUSED {
        let stream = files.connect(gateway.connect().await, &["http/1.1"]).await;
        expect_status(Wire::new(stream), start, status).await;
    }
}
