//! Cost of an upgrade, stage by stage, for a browser's handshake (15 lines).
//!
//! Each figure includes the previous one. The group `plain` has the default configuration, `forwarded` has
//! `Forwarded::all()`:
//!
//! - `dropped`: no layer; the request is dropped and an empty response made. The baseline.
//! - `refused`: detect. The key is not valid: 400.
//! - `undialled`: detect, select, rewrite, encode. The connector fails at once: 502.
//! - `upgraded`: the whole handshake. An upstream on an in-memory connection responds with 101, and the upgrade
//!   is abandoned, because there is no server connection.
//! - `served`: the same within hyper's server on an in-memory connection, with the upgrade, until the
//!   tunnel is closed without data.
//!
//! `hyper_client` is the part of `upgraded` outside this crate: hyper's client with the same head and the same
//! upstream.
#![allow(clippy::unwrap_used, reason = "benchmarks fail by panicking")]

use std::{
    convert::Infallible,
    future::{Future, poll_fn, ready},
    hint::black_box,
    io,
    pin::pin,
    time::Instant,
};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkGroup, Criterion, measurement::WallTime};
use futures_util::FutureExt;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    runtime::{Builder, Runtime},
    task::yield_now,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_upgrade_proxy::{Forwarded, Peer, UpgradeProxyLayer};

type Inbound = Request<Empty<Bytes>>;

const BUFFER: usize = 8 * 1024;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: graphql-transport-ws\r\n\
    \r\n";

/// Chrome's fields, without the key.
const BROWSER: [(&str, &str); 14] = [
    ("Host", "a.example"),
    ("Connection", "Upgrade"),
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"),
    ("Upgrade", "websocket"),
    ("Origin", "https://a.example"),
    ("Sec-WebSocket-Version", "13"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Cookie", "session=0123456789abcdef0123456789abcdef"),
    ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
    ("Sec-WebSocket-Protocol", "graphql-transport-ws, graphql-ws"),
    ("Sec-GPC", "1"),
];

/// The browser's request as a server passes it to the layer, but without a connection.
fn request(key: &str) -> Inbound {
    let builder = BROWSER
        .iter()
        .fold(Request::get("/chat?room=1"), |builder, (name, value)| builder.header(*name, *value));
    let mut request = builder.header("Sec-WebSocket-Key", key).body(Empty::new()).unwrap();
    let no_upgrade: OnUpgrade = hyper::upgrade::on(&mut request);
    request.extensions_mut().insert(no_upgrade);
    request.extensions_mut().insert(peer());
    request
}

/// The browser's request as bytes.
fn head() -> Vec<u8> {
    let lines: String = BROWSER.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET /chat?room=1 HTTP/1.1\r\n{lines}Sec-WebSocket-Key: {KEY}\r\n\r\n").into_bytes()
}

fn peer() -> Peer {
    Peer::new("192.0.2.1:49152".parse().unwrap())
}

fn inner<B>()
-> impl Service<Request<B>, Response = Response<Empty<Bytes>>, Error = Infallible, Future: Send> + Clone + Send
{
    service_fn(|_| ready(Ok(Response::new(Empty::new()))))
}

/// Reads until a head is complete.
async fn read_head(io: &mut (impl AsyncRead + Unpin)) {
    let mut head = Vec::with_capacity(BUFFER);
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(io.read_buf(&mut head).await.unwrap(), 0, "closed before the head was complete");
    }
}

/// Connects to an upstream that accepts the upgrade and closes when its peer does.
fn dial() -> DuplexStream {
    let (near, mut far) = duplex(BUFFER);
    tokio::spawn(async move {
        read_head(&mut far).await;
        far.write_all(RESPONSE).await.unwrap();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    });
    near
}

/// Measures requests with an immediate response.
fn at_once<S, B>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut service: S,
    request: &Inbound,
    status: StatusCode,
) where
    S: Service<Inbound, Response = Response<B>, Error = Infallible>,
{
    let response = service.call(request.clone()).now_or_never().unwrap().unwrap();
    assert_eq!(response.status(), status);
    group.bench_function(name, |bencher| {
        let call = |request| service.call(request).now_or_never().map(|response| black_box(response).is_ok());
        bencher.iter_batched(|| request.clone(), call, BatchSize::SmallInput);
    });
}

/// Measures exchanges on `runtime`, one after the other, without `prepare`.
fn awaited<T, F>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    runtime: &Runtime,
    prepare: impl Fn() -> T,
    exchange: impl Fn(T) -> F,
) where
    F: Future<Output = ()>,
{
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let inputs: Vec<T> = (0..iterations).map(|_| prepare()).collect();
            runtime.block_on(async {
                let start = Instant::now();
                for input in inputs {
                    exchange(input).await;
                    // Lets the tasks of this exchange finish within it.
                    yield_now().await;
                }
                start.elapsed()
            })
        });
    });
}

fn stages(criterion: &mut Criterion, runtime: &Runtime, name: &str, layer: &UpgradeProxyLayer) {
    let mut group = criterion.benchmark_group(format!("handshake/{name}"));
    let (good, bad) = (request(KEY), request("dGhlIHNhbXBsZQ=="));
    let failing = service_fn(|_: Uri| ready(Err::<TokioIo<DuplexStream>, _>(connection_refused())));
    let accepting =
        layer.clone().connector(service_fn(|_: Uri| ready(Ok::<_, Infallible>(TokioIo::new(dial())))));

    at_once(&mut group, "dropped", inner(), &good, StatusCode::OK);
    at_once(&mut group, "refused", layer.layer(inner()), &bad, StatusCode::BAD_REQUEST);
    let undialled = layer.clone().connector(failing).layer(inner());
    at_once(&mut group, "undialled", undialled, &good, StatusCode::BAD_GATEWAY);
    let service = accepting.layer(inner());
    awaited(
        &mut group,
        "upgraded",
        runtime,
        || good.clone(),
        async |request| {
            let response = service.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        },
    );
    let head = head();
    awaited(&mut group, "served", runtime, || (), async |()| served(&accepting, &head).await);
    group.finish();
}

fn connection_refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

/// Runs a client's connection to hyper's server with the layer, from the request to the close.
async fn served(layer: &UpgradeProxyLayer, head: &[u8]) {
    let (mut client, io) = duplex(BUFFER);
    let service = layer.layer(inner()).map_request(|mut request: Request<_>| {
        request.extensions_mut().insert(peer());
        request
    });
    tokio::spawn(async move {
        let service = TowerToHyperService::new(service);
        let server = auto::Builder::new(TokioExecutor::new());
        server.serve_connection_with_upgrades(TokioIo::new(io), service).await.unwrap();
    });
    client.write_all(head).await.unwrap();
    read_head(&mut client).await;
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

/// Runs hyper's client only, polled in place as the layer does.
async fn hyper_client(request: Inbound) {
    let (mut sender, connection) = http1::handshake(TokioIo::new(dial())).await.unwrap();
    let mut connection = Box::pin(connection.with_upgrades());
    let mut response = pin!(sender.send_request(request));
    let response = poll_fn(|cx| {
        let _ = connection.as_mut().poll(cx);
        response.as_mut().poll(cx)
    });
    assert_eq!(response.await.unwrap().status(), StatusCode::SWITCHING_PROTOCOLS);
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let mut criterion = Criterion::default().configure_from_args();
    let layer = UpgradeProxyLayer::new("http://127.0.0.1:9".parse().unwrap());
    stages(&mut criterion, &runtime, "plain", &layer);
    stages(&mut criterion, &runtime, "forwarded", &layer.forwarded(Forwarded::all()));
    let good = request(KEY);
    let mut group = criterion.benchmark_group("handshake");
    awaited(&mut group, "hyper_client", &runtime, || good.clone(), hyper_client);
    group.finish();
    criterion.final_summary();
}
