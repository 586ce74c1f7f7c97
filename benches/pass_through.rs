//! Cost of the layer for a request that is not an upgrade.
//!
//! Each request goes to a service that is always ready, alone (`inner`) and below the layer
//! (`websocket`, `any`, after the layer's [`Protocols`]), and the response is awaited. The layer's cost
//! is the difference to `inner`; it must be at most 50 ns.
//!
//! - `minimal`: `Host` and `Accept`.
//! - `browser`: the 12 lines of a page's navigation.
//! - `not_taken`: an `Upgrade` to `h2c`, as curl sends it: its tokens are inspected, and the request passes through.
//!
//! The service returns every request for the next call, so that the figures do not include its allocation.
#![allow(clippy::unwrap_used, reason = "benchmarks fail by panicking")]

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};
use tower_upgrade_proxy::{Protocols, UpgradeProxyLayer};

type Outbound = Request<Empty<Bytes>>;

const MINIMAL: &[(&str, &str)] = &[("host", "a.example"), ("accept", "*/*")];

const BROWSER: &[(&str, &str)] = &[
    ("host", "a.example"),
    ("connection", "keep-alive"),
    ("sec-ch-ua", r#""Chromium";v="142", "Not_A Brand";v="99""#),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", r#""Linux""#),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("sec-fetch-mode", "navigate"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("cookie", "session=0123456789abcdef0123456789abcdef"),
];

const NOT_TAKEN: &[(&str, &str)] = &[
    ("host", "a.example"),
    ("accept", "*/*"),
    ("connection", "Upgrade, HTTP2-Settings"),
    ("upgrade", "h2c"),
    ("http2-settings", "AAMAAABkAAQAAP__"),
];

/// Responds at once, and keeps the request for the next call.
#[derive(Clone, Default)]
struct ReturnRequest(Rc<Cell<Option<Outbound>>>);

impl Service<Outbound> for ReturnRequest {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Outbound) -> Self::Future {
        self.0.set(Some(request));
        ready(Ok(Response::new(Empty::new())))
    }
}

/// Measures `service` around `inner`, with the same request each time.
fn through<S>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    inner: &ReturnRequest,
    mut service: S,
    fields: &[(&str, &str)],
) where
    S: Service<Outbound, Error = Infallible>,
{
    let builder = fields
        .iter()
        .fold(Request::get("/path?query"), |builder, (name, value)| builder.header(*name, *value));
    inner.0.set(Some(builder.body(Empty::new()).unwrap()));
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let request = inner.0.take().unwrap();
            let response = service.call(black_box(request)).now_or_never();
            assert!(black_box(response).is_some());
        });
    });
}

fn pass_through(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pass_through");
    let layer = UpgradeProxyLayer::new("http://127.0.0.1:9".parse().unwrap());
    let inner = ReturnRequest::default();
    let websocket = layer.clone().protocols(Protocols::websocket()).layer(inner.clone());
    let any = layer.protocols(Protocols::any()).layer(inner.clone());
    for (name, fields) in [("minimal", MINIMAL), ("browser", BROWSER), ("not_taken", NOT_TAKEN)] {
        through(&mut group, BenchmarkId::new(name, "inner"), &inner, inner.clone(), fields);
        through(&mut group, BenchmarkId::new(name, "websocket"), &inner, websocket.clone(), fields);
        through(&mut group, BenchmarkId::new(name, "any"), &inner, any.clone(), fields);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    pass_through(&mut criterion);
    criterion.final_summary();
}
