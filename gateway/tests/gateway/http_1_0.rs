//! Clients in HTTP/1.0, which has no chunks.

use std::io::ErrorKind;

use test_support::{ScriptedUpstream, Wire, bounded, tls::CertificateFiles};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::{Gateway, https};

/// Requests a response whose last chunk is `last`, and returns the error at the end of the connection.
async fn end(
    upstream: &ScriptedUpstream,
    client: impl AsyncRead + AsyncWrite + Unpin,
    last: &str,
) -> Option<ErrorKind> {
    let mut client = Wire::new(client);
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let mut server = upstream.accept().await;
    server.head().await;
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    server.send(format!("{head}5\r\nfirst\r\n{last}")).await;
    assert_eq!(client.head().await.status(), 200);
    // A reset may overtake the bytes before it.
    client.expect("first").await;
    drop(server);
    let mut rest = client.buffered();
    let end = bounded("the end", client.stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    end.err().map(|error| error.kind())
}

#[tokio::test]
async fn an_aborted_response_without_a_length_ends_with_a_reset() {
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = Gateway::start(&["--route", &route]).await;
    assert_eq!(end(&upstream, gateway.connect().await, "0\r\n\r\n").await, None);
    assert_eq!(end(&upstream, gateway.connect().await, "").await, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn an_aborted_response_over_tls_ends_without_close_notify() {
    let files = CertificateFiles::new();
    let upstream = ScriptedUpstream::start().await;
    let route = format!("/={}", upstream.uri());
    let gateway = https::start(&files, &["--route", &route]).await;
    let connect = async || files.connect(gateway.connect().await, &["http/1.1"]).await;
    assert_eq!(end(&upstream, connect().await, "0\r\n\r\n").await, None);
    assert_eq!(end(&upstream, connect().await, "").await, Some(ErrorKind::UnexpectedEof));
}
