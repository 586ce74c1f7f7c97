//! The layer in every place where a layer can be used, and combined with other layers.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    routing::{any, get},
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use test_support::{
    Head, SWITCHING, ScriptedUpstream, Wire, handshake, handshake_with, serve, serve_auto, serve_http1,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer, request_id,
    set_header::SetResponseHeaderLayer, timeout::TimeoutLayer, trace::TraceLayer,
};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// Opens a tunnel at `path` and exchanges data. Returns both ends and the 101.
pub(crate) async fn tunnel(
    address: SocketAddr,
    upstream: &ScriptedUpstream,
    path: &str,
) -> (Wire, Wire, Head) {
    let mut client = Wire::connect(address).await;
    client.send(handshake_with(path, &["Origin: http://client.example", "Accept-Encoding: gzip"])).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    client.send("up").await;
    server.expect("up").await;
    server.send("down").await;
    client.expect("down").await;
    (client, server, head)
}

pub(crate) async fn status(address: SocketAddr, path: &str) -> u16 {
    Wire::connect(address).await.request(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await.status()
}

#[tokio::test]
async fn as_router_layer() {
    let upstream = ScriptedUpstream::start().await;
    let app = Router::new()
        .route("/ws/", get(|| async { "plain" }))
        .layer(UpgradeProxyLayer::new(upstream.upstream()));
    let address = serve(app).await;
    tunnel(address, &upstream, "/ws/").await;
    assert_eq!((status(address, "/ws/").await, status(address, "/none").await), (200, 404));
}

#[tokio::test]
async fn as_method_router_layer() {
    let upstream = ScriptedUpstream::start().await;
    let ws = any(|| async { "plain" }).layer(UpgradeProxyLayer::new(upstream.upstream()));
    let address = serve(Router::new().route("/ws", ws)).await;
    tunnel(address, &upstream, "/ws").await;
    assert_eq!(status(address, "/ws").await, 200);
    assert_eq!(Wire::connect(address).await.request(handshake("/other")).await.status(), 404);
    upstream.expect_untouched().await;
}

#[tokio::test]
async fn as_route_service_with_426_for_the_rest() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = UpgradeProxyLayer::new(upstream.upstream()).into_service();
    let address = serve(Router::new().route_service("/ws", proxy)).await;
    tunnel(address, &upstream, "/ws").await;
    let head = Wire::connect(address).await.request("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((head.status(), head.values("upgrade")), (426, vec!["websocket".to_owned()]));
}

#[tokio::test]
async fn as_nest_service_and_fallback_service() {
    let upstream = ScriptedUpstream::start().await;
    let proxy = UpgradeProxyLayer::new(upstream.upstream()).into_service();
    let app = Router::new().nest_service("/nested", proxy.clone()).fallback_service(proxy);
    let address = serve(app).await;
    tunnel(address, &upstream, "/nested/x").await;
    tunnel(address, &upstream, "/anything/else").await;
    assert_eq!(status(address, "/nested/x").await, 426);
}

#[tokio::test]
async fn under_the_auto_server_and_plain_hyper() {
    let upstream = ScriptedUpstream::start().await;
    let inner = service_fn(|_: Request| async { Ok::<_, Infallible>(Response::new(Body::from("plain"))) });
    let service = UpgradeProxyLayer::new(upstream.upstream()).layer(inner);
    for address in [serve_auto(service.clone()).await, serve_http1(service).await] {
        tunnel(address, &upstream, "/").await;
        assert_eq!(status(address, "/").await, 200);
    }
}

/// A router whose `/panic` panics and whose `/slow` never responds, with the proxy inside `outer`.
macro_rules! composed {
    ($upstream:expr, $outer:expr) => {
        serve(
            Router::new()
                .route("/large", get(|| async { "compressible ".repeat(1000) }))
                .route(
                    "/panic",
                    get(|| async {
                        if true {
                            panic!("expected by the test")
                        }
                    }),
                )
                .route("/slow", get(std::future::pending::<()>))
                .layer(UpgradeProxyLayer::new($upstream.upstream()))
                .layer($outer),
        )
        .await
    };
}

#[tokio::test]
async fn with_trace() {
    let upstream = ScriptedUpstream::start().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let trace = TraceLayer::new_for_http().on_response(
        move |response: &Response<Body>, _: Duration, _: &tracing::Span| {
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            count.fetch_add(1, Ordering::SeqCst);
        },
    );
    tunnel(composed!(upstream, trace), &upstream, "/").await;
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn with_timeout_that_does_not_end_an_open_tunnel() {
    let upstream = ScriptedUpstream::start().await;
    let limit = Duration::from_secs(1);
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit);
    let address = composed!(upstream, timeout);
    let (mut client, mut server, _) = tunnel(address, &upstream, "/").await;
    assert_eq!(status(address, "/slow").await, 504, "the timeout has expired");
    client.send("still").await;
    server.expect("still").await;
    // The timeout does end a slow handshake, and closes the upstream connection.
    let mut late = Wire::connect(address).await;
    late.send(handshake("/")).await;
    let mut silent = upstream.accept().await;
    silent.head().await;
    assert_eq!(late.head().await.status(), 504);
    silent.expect_end().await;
}

#[tokio::test]
async fn with_compression() {
    let upstream = ScriptedUpstream::start().await;
    let address = composed!(upstream, CompressionLayer::new());
    let (.., head) = tunnel(address, &upstream, "/").await;
    assert!(head.values("content-encoding").is_empty());
    let request = "GET /large HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";
    assert_eq!(Wire::connect(address).await.request(request).await.values("content-encoding"), ["gzip"]);
}

#[tokio::test]
async fn with_catch_panic() {
    let upstream = ScriptedUpstream::start().await;
    let address = composed!(upstream, CatchPanicLayer::new());
    let (mut client, mut server, _) = tunnel(address, &upstream, "/").await;
    assert_eq!(status(address, "/panic").await, 500);
    client.send("still").await;
    server.expect("still").await;
}

#[tokio::test]
async fn with_request_id_passed_to_upstream_and_client() {
    let upstream = ScriptedUpstream::start().await;
    let set = request_id::SetRequestIdLayer::x_request_id(Fixed);
    let layers = ServiceBuilder::new().layer(set).layer(request_id::PropagateRequestIdLayer::x_request_id());
    let address = composed!(upstream, layers);
    let mut client = Wire::connect(address).await;
    client.send(handshake("/")).await;
    let mut server = upstream.accept().await;
    assert_eq!(server.head().await.values("x-request-id"), ["fixed-id"]);
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.values("x-request-id"), ["fixed-id"]);
}

#[derive(Clone)]
struct Fixed;

impl request_id::MakeRequestId for Fixed {
    fn make_request_id<B>(&mut self, _: &http::Request<B>) -> Option<request_id::RequestId> {
        Some(request_id::RequestId::new(HeaderValue::from_static("fixed-id")))
    }
}

#[tokio::test]
async fn with_set_header() {
    let upstream = ScriptedUpstream::start().await;
    let name = HeaderName::from_static("x-frame-options");
    let address =
        composed!(upstream, SetResponseHeaderLayer::overriding(name, HeaderValue::from_static("DENY")));
    let (.., head) = tunnel(address, &upstream, "/").await;
    assert_eq!(head.values("x-frame-options"), ["DENY"]);
}

#[tokio::test]
async fn with_cors() {
    let upstream = ScriptedUpstream::start().await;
    let address = composed!(upstream, CorsLayer::permissive());
    let (.., head) = tunnel(address, &upstream, "/").await;
    assert_eq!(head.values("access-control-allow-origin"), ["*"]);
}

#[tokio::test]
async fn with_compression_of_a_refusal() {
    let upstream = ScriptedUpstream::start().await;
    let address = composed!(upstream, CompressionLayer::new());
    let mut client = Wire::connect(address).await;
    client.send(handshake_with("/", &["Accept-Encoding: gzip"])).await;
    let mut server = upstream.accept().await;
    server.head().await;
    let page = "not allowed ".repeat(500);
    server
        .send(format!(
            "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        ))
        .await;
    let head = client.head().await;
    assert_eq!((head.status(), head.values("content-encoding")), (403, vec!["gzip".to_owned()]));
    assert!(client.body(&head).await.starts_with(&[0x1f, 0x8b]));
}

#[tokio::test]
async fn upstream_connection_is_not_exposed_in_response_extensions() {
    let upstream = ScriptedUpstream::start().await;
    let look = axum::middleware::map_response(|response: Response<Body>| async {
        assert!(response.extensions().get::<OnUpgrade>().is_none());
        response
    });
    tunnel(composed!(upstream, look), &upstream, "/").await;
}

#[tokio::test]
async fn request_on_a_connection_that_cannot_be_upgraded_reaches_the_inner_service() {
    let inner = service_fn(|request: Request| async move {
        assert_eq!(request.headers()["upgrade"], "websocket");
        Ok::<_, Infallible>(Response::new(Body::from("inner")))
    });
    let service = UpgradeProxyLayer::per_request().layer(inner);
    // The proxy does not respond to it, even if the handshake is malformed.
    let request = Request::builder().header("connection", "upgrade").header("upgrade", "websocket");
    let response = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// Counts calls of `poll_ready`, and is ready only if `open`.
#[derive(Clone)]
struct Gate {
    open: bool,
    polled: Arc<AtomicUsize>,
}

impl Service<Request> for Gate {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Response<Body>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.polled.fetch_add(1, Ordering::SeqCst);
        if self.open { Poll::Ready(Ok(())) } else { Poll::Ready(Err("the inner service is broken")) }
    }

    fn call(&mut self, _: Request) -> Self::Future {
        std::future::ready(Err("the inner service failed"))
    }
}

#[tokio::test]
async fn readiness_and_errors_are_those_of_the_inner_service() {
    let layer = UpgradeProxyLayer::per_request();
    let polled = Arc::new(AtomicUsize::new(0));
    let mut broken = layer.layer(Gate { open: false, polled: Arc::clone(&polled) });
    assert_eq!(broken.ready().await.err(), Some("the inner service is broken"));
    assert_eq!(polled.load(Ordering::SeqCst), 1);
    let failing = layer.layer(Gate { open: true, polled });
    assert_eq!(failing.oneshot(Request::new(Body::empty())).await.err(), Some("the inner service failed"));
}
