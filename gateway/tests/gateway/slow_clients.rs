//! `--client-timeout`: clients that do not finish what they began.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use crate::{
    Gateway, answer,
    http2::{BEGIN, Client},
    https,
    identity::Identity,
    support::{Wire, bounded},
    upstream,
};

const TIMEOUT: Duration = Duration::from_secs(1);

async fn start() -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    Gateway::start(&["--route", &route, "--client-timeout", "1s"]).await
}

async fn start_tls(files: &Identity) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    https::start(files, &["--route", &route, "--client-timeout", "1s"]).await
}

/// Connections without a request: parts of a head, of the preface, and of the frames after it.
const UNFINISHED: [&[&[u8]]; 9] = [
    &[b""],
    &[b"P"],
    &[b"GET / HTTP/1.1\r\nHost: client.example\r\nX-Slow:"],
    &[b"PR"],
    &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"],
    &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    &[BEGIN],
    // HEADERS of which the length alone has come; and some that are to be continued.
    &[BEGIN, b"\0\0\x09"],
    &[BEGIN, b"\0\0\x01\x01\0\0\0\0\x01\x82"],
];

/// Parts of a TLS handshake.
const UNFINISHED_TLS: [&[&[u8]]; 3] = [&[b""], &[b"\x16"], &[b"\x16\x03\x01\x02\x00\x01\x00\x01"]];

/// A PING.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0whatever";

/// Requires that the connection is ended for the time it takes: not at once, and not at the default of 10 s.
async fn expect_timeout<S>(begun: &[&[u8]], connecting: impl Future<Output = S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = Instant::now();
    let mut wire = Wire::new(connecting.await);
    wire.send(begun.concat()).await;
    wire.rest().await;
    let waited = start.elapsed();
    assert!((TIMEOUT * 9 / 10..TIMEOUT * 9).contains(&waited), "{begun:?}: {waited:?}");
}

#[tokio::test]
async fn a_connection_without_a_request_is_ended() {
    let mut gateway = start().await;
    join_all(UNFINISHED.map(async |begun| expect_timeout(begun, gateway.connect()).await)).await;
    gateway.program.wait_for_log("no request in time").await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_ended_over_tls_too() {
    let files = Identity::new();
    let gateway = start_tls(&files).await;
    join_all(UNFINISHED.map(async |begun| {
        let protocol = if begun.concat().starts_with(b"PR") { "h2" } else { "http/1.1" };
        let connecting = async { files.connect(gateway.connect().await, &[protocol]).await };
        expect_timeout(begun, connecting).await;
    }))
    .await;
}

#[tokio::test]
async fn a_tls_handshake_that_stops_is_ended() {
    let mut gateway = start_tls(&Identity::new()).await;
    join_all(UNFINISHED_TLS.map(async |begun| expect_timeout(begun, gateway.connect()).await)).await;
    gateway.program.wait_for_log("TLS handshake timed out").await;
}

#[tokio::test]
async fn pings_are_no_requests() {
    let gateway = start().await;
    let mut stream = gateway.connect().await;
    stream.write_all(BEGIN).await.unwrap();
    bounded("the end", async {
        while stream.write_all(PING).await.is_ok() {
            sleep(TIMEOUT / 10).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_has_had_a_request_goes_on() {
    let gateway = start().await;
    let mut client = Client::new(gateway.connect().await).await;
    let mut upgraded = gateway.websocket("/").await.unwrap();
    let mut stream = client.websocket("/").await;
    sleep(2 * TIMEOUT).await;
    assert_eq!(client.ask("GET", "/", "").await.0, 200);
    assert_eq!(answer(&mut stream).await, "app / client.example");
    assert_eq!(answer(&mut upgraded).await, "app / client.example");
}
