//! From a listening socket to requests: TCP, TLS, HTTP/1.1.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time,
};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};
use tower_upgrade_proxy::Peer;

use crate::Body;

/// How long a client may take for its TLS handshake, and to send the head of a request.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// What is waited after a failed accept, so that "too many open files" does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers the requests of a listener.
pub(crate) trait Answers:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> Answers for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))
}

/// Accepts until the future is dropped. No error ends it: those of `accept` pass.
pub(crate) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, service: impl Answers) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => drop(tokio::spawn(connection(socket, peer, tls.clone(), service.clone()))),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes TLS off one connection, if there is any, and serves it.
async fn connection(socket: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, service: impl Answers) {
    let Some(tls) = tls else { return serve(socket, Peer::new(peer), service).await };
    match time::timeout(HEADER_READ_TIMEOUT, tls.accept(socket)).await {
        Ok(Ok(stream)) => serve(stream, Peer::new(peer).https(), service).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
    }
}

/// Serves one connection, in HTTP/1.1 alone: the layer takes upgrades from no other, and hyper-util's
/// auto builder would wait without limit for the bytes that tell it from HTTP/2.
async fn serve<I>(io: I, peer: Peer, service: impl Answers)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(service))
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(?peer, %error, "connection failed");
    }
}
