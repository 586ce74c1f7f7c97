//! The layer allocates nothing for a request that is not an upgrade.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::{convert::Infallible, future::ready, hint::black_box};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service, service_fn};
use tower_upgrade_proxy::{Protocols, UpgradeProxyLayer};

/// Number of allocations while `service` handles `request`, without those for the request itself.
fn allocations<S>(service: &mut S, request: Request<Empty<Bytes>>) -> u64
where
    S: Service<Request<Empty<Bytes>>, Error = Infallible>,
{
    let mut request = Some(request);
    let counted = allocation_counter::measure(|| {
        let response = service.call(request.take().unwrap()).now_or_never();
        assert!(black_box(response).is_some());
    });
    counted.count_total
}

fn request(method: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let builder = Request::builder()
        .method(method)
        .uri("/path?query")
        .header("host", "a.example")
        .header("accept", "*/*");
    let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(Empty::new()).unwrap()
}

#[test]
fn pass_through_allocates_nothing() {
    let inner = service_fn(|_| ready(Ok(Response::new(Empty::<Bytes>::new()))));
    let layer = UpgradeProxyLayer::new("http://127.0.0.1:9".parse().unwrap())
        .max_tunnels(1)
        .max_tunnels_per_client(1)
        .max_tunnels_per_upstream(1)
        .max_handshakes(1);
    let websocket = [("connection", "upgrade"), ("upgrade", "websocket")];
    let h2c = [("connection", "upgrade, http2-settings"), ("upgrade", "h2c")];
    let ordinary: [(&str, &[(&str, &str)]); 6] = [
        ("GET", &[]),
        ("GET", &[("connection", "keep-alive")]),
        ("GET", &[("upgrade", "websocket")]),
        // Without `OnUpgrade`, the connection cannot be upgraded.
        ("GET", &websocket),
        ("POST", &websocket),
        ("GET", &h2c),
    ];
    for protocols in [Protocols::websocket(), Protocols::any()] {
        let mut service = layer.clone().protocols(protocols).layer(inner);
        for (method, fields) in ordinary {
            assert_eq!(allocations(&mut service, request(method, fields)), 0, "{method} {fields:?}");
        }
    }
}

#[test]
fn the_counter_counts() {
    let mut service = service_fn(|_| {
        black_box(Box::new(1));
        ready(Ok::<_, Infallible>(Response::new(())))
    });
    assert_eq!(allocations(&mut service, request("GET", &[])), 1);
}
