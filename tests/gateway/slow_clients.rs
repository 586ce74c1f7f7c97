//! `--client-timeout`: clients that do not finish what they began.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Gateway, https, identity::Identity, support::Wire, upstream};

const TIMEOUT: Duration = Duration::from_millis(500);

async fn start() -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    Gateway::start(&["--route", &route, "--client-timeout", "500ms"]).await
}

async fn start_tls(files: &Identity) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    https::start(files, &["--route", &route, "--client-timeout", "500ms"]).await
}

/// Connections without a request: nothing, what may yet become the preface of HTTP/2, a part of a head.
const UNFINISHED: [&[u8]; 3] = [b"", b"P", b"GET / HTTP/1.1\r\nHost: client.example\r\nX-Slow:"];

/// Parts of a TLS handshake.
const UNFINISHED_TLS: [&[u8]; 3] = [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01"];

/// Requires that the connection is ended for the time it takes.
async fn expect_timeout(begun: &[u8], stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (start, mut wire) = (Instant::now(), Wire::new(stream));
    wire.send(begun).await;
    wire.rest().await;
    let waited = start.elapsed();
    assert!((TIMEOUT * 9 / 10..TIMEOUT * 10).contains(&waited), "{begun:?}: {waited:?}");
}

#[tokio::test]
async fn a_connection_without_a_request_is_ended() {
    let gateway = start().await;
    join_all(UNFINISHED.map(async |begun| expect_timeout(begun, gateway.connect().await).await)).await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_ended_over_tls_too() {
    let files = Identity::new();
    let gateway = start_tls(&files).await;
    join_all(UNFINISHED.map(async |begun| {
        expect_timeout(begun, files.connect(gateway.connect().await, &["http/1.1"]).await).await;
    }))
    .await;
}

#[tokio::test]
async fn a_tls_handshake_that_stops_is_ended() {
    let mut gateway = start_tls(&Identity::new()).await;
    join_all(UNFINISHED_TLS.map(async |begun| expect_timeout(begun, gateway.connect().await).await)).await;
    gateway.program.wait_for_log("TLS handshake timed out").await;
}
