//! The services of the layer inside other layers, served by hyper without axum.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    server::conn::{self as server, http1},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use test_support::{
    ReservedPort, SWITCHING, ScriptedUpstream, Wire, handshake_with, http2,
    serve::{FREE_PORT, listen},
};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn, timeout::TimeoutLayer as TowerTimeout};
use tower_http::{
    auth::AddAuthorizationLayer,
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveHeadersLayer,
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
    validate_request::ValidateRequestHeaderLayer,
};
use tower_upgrade_proxy::{Authorized, Rejection, UpgradeProxyLayer, Upstream, proxy_pass};

/// Serves `service` by hyper, with its own body types.
fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let listener = listen(FREE_PORT);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection.with_upgrades());
        }
    });
    address
}

/// A client in HTTP/2 of `service`, served by hyper.
async fn http2_client<S, B>(service: S) -> http2::Client
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (client, server) = tokio::io::duplex(1 << 16);
    let service = TowerToHyperService::new(service);
    let builder = server::http2::Builder::new(TokioExecutor::new());
    tokio::spawn(builder.serve_connection(TokioIo::new(server), service));
    http2::Client::over(client).await
}

async fn page(_: Request<impl Body>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("page")))
}

/// Expects a tunnel through `layer` around an inner service, `into_service` and `proxy_pass`. Returns the heads of the
/// 101s.
macro_rules! expect_tunnels {
    ($layer:expr) => {{
        let upstream = ScriptedUpstream::start().await;
        let proxy = UpgradeProxyLayer::new(upstream.upstream());
        let around = ServiceBuilder::new().layer($layer).layer(&proxy).service(service_fn(page));
        let alone = ServiceBuilder::new().layer($layer).service(proxy.into_service());
        let pass = ServiceBuilder::new().layer($layer).service(proxy_pass(upstream.upstream()));
        let mut heads = Vec::new();
        for address in [serve(around), serve(alone), serve(pass)] {
            let (client, server, head) = crate::compose::tunnel(address, &upstream, "/").await;
            drop((client, server));
            heads.push(head);
        }
        heads
    }};
}

#[tokio::test]
async fn with_cors() {
    for head in expect_tunnels!(CorsLayer::permissive()) {
        assert_eq!(head.values("access-control-allow-origin"), ["*"]);
    }
}

#[tokio::test]
async fn with_timeouts() {
    let limit = Duration::from_secs(60);
    expect_tunnels!(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limit));
    expect_tunnels!(TowerTimeout::new(limit));
    // A response made by the layer, whose body is `ResponseBody::default()`.
    let upstream = ScriptedUpstream::start().await;
    let limit = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(50));
    let address = serve(limit.layer(proxy_pass(upstream.upstream())));
    let head = Wire::connect(address).await.request(handshake_with("/", &[])).await;
    assert_eq!((head.status(), head.values("content-length")), (504, vec!["0".to_owned()]));
}

#[tokio::test]
#[allow(deprecated, reason = "tower-http calls a fixed token too basic, but users have it")]
async fn with_required_authorization() {
    let upstream = ScriptedUpstream::start().await;
    let address = serve(ValidateRequestHeaderLayer::bearer("secret").layer(proxy_pass(upstream.upstream())));
    for request in [handshake_with("/", &[]), "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()] {
        assert_eq!(Wire::connect(address).await.request(request).await.status(), 401);
    }
    upstream.expect_untouched().await;
    let mut client = Wire::connect(address).await;
    client.send(handshake_with("/", &["Authorization: Bearer secret"])).await;
    let mut server = upstream.accept().await;
    server.head().await;
    server.send(SWITCHING).await;
    assert_eq!(client.head().await.status(), 101);
    expect_tunnels!(
        ServiceBuilder::new()
            .layer(AddAuthorizationLayer::bearer("secret"))
            .layer(ValidateRequestHeaderLayer::bearer("secret"))
    );
}

#[tokio::test]
async fn with_trace_and_sensitive_headers() {
    let layers = || {
        ServiceBuilder::new()
            .layer(SetSensitiveHeadersLayer::new([AUTHORIZATION]))
            .layer(TraceLayer::new_for_http())
    };
    expect_tunnels!(layers());
}

#[tokio::test]
async fn with_compression() {
    for head in expect_tunnels!(CompressionLayer::new()) {
        assert!(head.values("content-encoding").is_empty());
    }
}

#[tokio::test]
async fn with_catch_panic() {
    expect_tunnels!(CatchPanicLayer::new());
}

#[tokio::test]
async fn with_set_header() {
    let name = HeaderName::from_static("x-frame-options");
    let value = HeaderValue::from_static("DENY");
    for head in expect_tunnels!(SetResponseHeaderLayer::overriding(name.clone(), value.clone())) {
        assert_eq!(head.values("x-frame-options"), ["DENY"]);
    }
}

#[tokio::test]
async fn with_request_id() {
    let layers = || {
        ServiceBuilder::new()
            .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
            .layer(PropagateRequestIdLayer::x_request_id())
    };
    for head in expect_tunnels!(layers()) {
        assert_eq!(head.values("x-request-id").len(), 1);
    }
}

#[tokio::test]
async fn with_body_limit() {
    expect_tunnels!(RequestBodyLimitLayer::new(16));
    let upstream = ScriptedUpstream::start().await;
    let address = serve(RequestBodyLimitLayer::new(4).layer(proxy_pass(upstream.upstream())));
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345";
    assert_eq!(Wire::connect(address).await.request(request).await.status(), 413);
}

#[tokio::test]
async fn with_load_shed_and_concurrency_limit() {
    expect_tunnels!(ServiceBuilder::new().load_shed().concurrency_limit(8));
}

#[tokio::test]
async fn with_a_stack_of_layers() {
    let layers = || {
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(CorsLayer::permissive())
            .layer(CompressionLayer::new())
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60)))
            .layer(CatchPanicLayer::new())
    };
    expect_tunnels!(layers());
}

#[tokio::test]
async fn failure_responses_to_head_have_no_body() {
    let unused: Upstream = ReservedPort::new().uri().parse().unwrap();
    let unauthorized = UpgradeProxyLayer::new(unused.clone())
        .authorize(|_| async { Err::<Authorized, _>(Rejection::from(StatusCode::UNAUTHORIZED)) })
        .forward();
    let mut clients = [
        (http2_client(proxy_pass(unused.clone())).await, 502),
        (http2_client(unauthorized).await, 401),
        (http2_client(UpgradeProxyLayer::new(unused).into_service()).await, 426),
    ];
    for (client, status) in &mut clients {
        assert_eq!(client.request("HEAD", "/", "").await, (*status, String::new()));
        assert_eq!(client.request("GET", "/", "").await.0, *status);
    }
}
