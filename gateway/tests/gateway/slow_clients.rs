//! `--client-timeout`: clients that stop before their request is complete.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use test_support::{
    Wire, bounded,
    http2::{
        Client,
        frame::{self, PING, PREFACE, PREFACE_AND_SETTINGS},
    },
    tls::CertificateFiles,
    websocket,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::sleep,
};

use crate::{Gateway, description, https, upstream};

const TIMEOUT: Duration = Duration::from_secs(1);

async fn start() -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    Gateway::start(&["--route", &route, "--client-timeout", "1s"]).await
}

async fn start_tls(files: &CertificateFiles) -> Gateway {
    let route = format!("/={}", upstream::start("app").await);
    https::start(files, &["--route", &route, "--client-timeout", "1s"]).await
}

/// Parts of a head, of the preface, and of the frames after it.
const UNFINISHED: [&[&[u8]]; 9] = [
    &[b""],
    &[b"P"],
    &[b"GET / HTTP/1.1\r\nHost: client.example\r\nX-Slow:"],
    &[b"PR"],
    &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"],
    &[PREFACE],
    &[PREFACE_AND_SETTINGS],
    // Only the length of HEADERS; HEADERS without their end.
    &[PREFACE_AND_SETTINGS, b"\0\0\x09"],
    &[PREFACE_AND_SETTINGS, b"\0\0\x01\x01\0\0\0\0\x01\x82"],
];

/// Parts of a TLS handshake.
const UNFINISHED_TLS: [&[&[u8]]; 3] = [&[b""], &[b"\x16"], &[b"\x16\x03\x01\x02\x00\x01\x00\x01"]];

/// Expects that a connection with this incomplete request is closed after [`TIMEOUT`], and not after the default of 10 s.
async fn expect_timeout<S>(sent: &[&[u8]], connecting: impl Future<Output = S>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = Instant::now();
    let mut wire = Wire::new(connecting.await);
    wire.send(sent.concat()).await;
    wire.rest().await;
    let waited = start.elapsed();
    assert!((TIMEOUT * 9 / 10..TIMEOUT * 9).contains(&waited), "{sent:?}: {waited:?}");
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let mut gateway = start().await;
    join_all(UNFINISHED.map(async |sent| expect_timeout(sent, gateway.connect()).await)).await;
    gateway.program.wait_for_log("no request in time").await;
}

#[tokio::test]
async fn a_tls_connection_without_a_request_is_closed() {
    let files = CertificateFiles::new();
    let gateway = start_tls(&files).await;
    join_all(UNFINISHED.map(async |sent| {
        let protocol = if sent.concat().starts_with(b"PR") { "h2" } else { "http/1.1" };
        let connecting = async { files.connect(gateway.connect().await, &[protocol]).await };
        expect_timeout(sent, connecting).await;
    }))
    .await;
}

#[tokio::test]
async fn a_tls_handshake_that_stops_is_closed() {
    let mut gateway = start_tls(&CertificateFiles::new()).await;
    join_all(UNFINISHED_TLS.map(async |sent| expect_timeout(sent, gateway.connect()).await)).await;
    gateway.program.wait_for_log("TLS handshake timed out").await;
}

#[tokio::test]
async fn pings_do_not_count_as_requests() {
    let gateway = start().await;
    let ping = frame::frame(PING, 0, 0, b"whatever");
    let mut stream = gateway.connect().await;
    stream.write_all(PREFACE_AND_SETTINGS).await.unwrap();
    bounded("the end", async {
        while stream.write_all(&ping).await.is_ok() {
            sleep(TIMEOUT / 10).await;
        }
    })
    .await;
}

#[tokio::test]
async fn connections_and_tunnels_stay_open_after_a_request() {
    let gateway = start().await;
    let mut client = Client::over(gateway.connect().await).await;
    let mut upgraded = gateway.websocket("/").await.unwrap();
    let mut stream = websocket::Client::on(&mut client, "/").await;
    sleep(2 * TIMEOUT).await;
    assert_eq!(client.request("GET", "/", "").await.0, 200);
    assert_eq!(description(&mut stream).await, "app / client.example");
    assert_eq!(description(&mut upgraded).await, "app / client.example");
}
