//! From a listening socket to connections: TCP, TLS.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time,
};
use tokio_rustls::TlsAcceptor;
use tower_upgrade_proxy::Peer;

use crate::serve::{Answers, Http, begins_http2};

/// What is waited after a failed accept, so that "too many open files" does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))
}

/// Accepts until the future is dropped. No error ends it: those of `accept` pass.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    http: Http,
    service: impl Answers,
) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let connection = connection(socket, peer, tls.clone(), http.clone(), service.clone());
                drop(tokio::spawn(connection));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes TLS off one connection, if there is any, and serves it: in the version that ALPN chose, or
/// that the client begins with.
async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    http: Http,
    service: impl Answers,
) {
    let Some(tls) = tls else {
        let peer = Peer::new(peer);
        return match time::timeout(http.client_timeout(), begins_http2(&socket)).await {
            Ok(Ok(true)) => http.serve_http2(socket, peer, service).await,
            Ok(Ok(false)) => http.serve_http1(socket, peer, service).await,
            Ok(Err(error)) => tracing::debug!(?peer, %error, "connection failed"),
            Err(_) => tracing::debug!(?peer, "no request in time"),
        };
    };
    match time::timeout(http.client_timeout(), tls.accept(socket)).await {
        Ok(Ok(stream)) => {
            let peer = Peer::new(peer).https();
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http.serve_http2(stream, peer, service).await,
                _ => http.serve_http1(stream, peer, service).await,
            }
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
    }
}
