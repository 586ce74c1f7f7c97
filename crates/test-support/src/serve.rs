//! Servers by axum and hyper, on the loopback interface and a free port.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpSocket};
use tower::{Service, ServiceExt};

/// A service from axum's bodies to bodies of `B`.
pub trait Serves<B>:
    Service<Request<Body>, Response = http::Response<B>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S, B> Serves<B> for S where
    S: Service<Request<Body>, Response = http::Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

pub const FREE_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Listens, with a queue for as many connections as a test opens at once. That of `TcpListener::bind` has room for 128
/// that are not accepted yet: the others are retried after whole seconds, and on a busy machine a few are reset.
pub fn listen(address: SocketAddr) -> TcpListener {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    // As `bind` does, except on Windows, where the option has another meaning.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(4096).unwrap()
}

/// Serves `app` by `axum::serve`.
pub async fn serve(app: Router) -> SocketAddr {
    let listener = listen(FREE_PORT);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Serves `app` by `axum::serve`, with `ConnectInfo`.
pub async fn serve_with_peers(app: Router) -> SocketAddr {
    let listener = listen(FREE_PORT);
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Serves `service` by hyper-util's auto server: HTTP/1.1 and HTTP/2.
pub async fn serve_auto<S, B>(service: S) -> SocketAddr
where
    S: Serves<B>,
    http::Response<B>: IntoResponse,
    B: 'static,
{
    let listener = listen(FREE_PORT);
    serve_auto_with(auto::Builder::new(TokioExecutor::new()), listener, service)
}

/// [`serve_auto`] with settings.
pub fn serve_auto_with<S, B>(
    builder: auto::Builder<TokioExecutor>,
    listener: TcpListener,
    service: S,
) -> SocketAddr
where
    S: Serves<B>,
    http::Response<B>: IntoResponse,
    B: 'static,
{
    let service = adapt(service);
    each_connection(listener, move |io| {
        let (builder, service) = (builder.clone(), service.clone());
        async move {
            let _ = builder.serve_connection_with_upgrades(io, TowerToHyperService::new(service)).await;
        }
    })
}

/// Serves `service` by hyper: HTTP/1.1 only.
pub async fn serve_http1<S, B>(service: S) -> SocketAddr
where
    S: Serves<B>,
    http::Response<B>: IntoResponse,
    B: 'static,
{
    serve_http1_with(http1::Builder::new(), service).await
}

/// [`serve_http1`] with settings.
pub async fn serve_http1_with<S, B>(builder: http1::Builder, service: S) -> SocketAddr
where
    S: Serves<B>,
    http::Response<B>: IntoResponse,
    B: 'static,
{
    let listener = listen(FREE_PORT);
    let service = adapt(service);
    each_connection(listener, move |io| {
        let (builder, service) = (builder.clone(), service.clone());
        async move {
            let _ = builder.serve_connection(io, TowerToHyperService::new(service)).with_upgrades().await;
        }
    })
}

/// Converts hyper's bodies to axum's.
fn adapt<S, B>(
    service: S,
) -> impl Service<http::Request<hyper::body::Incoming>, Response = Response, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    S: Serves<B>,
    http::Response<B>: IntoResponse,
    B: 'static,
{
    service
        .map_request(|request: http::Request<hyper::body::Incoming>| request.map(Body::new))
        .map_response(IntoResponse::into_response)
}

fn each_connection<F>(
    listener: TcpListener,
    serve: impl Fn(TokioIo<tokio::net::TcpStream>) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(TokioIo::new(stream)));
        }
    });
    address
}
