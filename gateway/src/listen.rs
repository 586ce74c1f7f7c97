//! Accepting TCP and TLS connections.

use std::{net::SocketAddr, pin::pin, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time,
};
use tokio_rustls::TlsAcceptor;
use tower_upgrade_proxy::Peer;

use crate::{
    ending::Work,
    serve::{Answers, Http, begins_http2},
};

/// Pause after a failed accept, so that "too many open files" does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))
}

/// Accepts connections until the shutdown begins. Errors of `accept` do not end it, because they are temporary.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    http: Http,
    work: Work,
    service: impl Answers,
) {
    let mut draining = pin!(work.draining());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut draining => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                let (tls, http, work, service) = (tls.clone(), http.clone(), work.clone(), service.clone());
                drop(tokio::spawn(connection(socket, peer, tls, http, work, service)));
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection, after its TLS handshake if TLS is on. The HTTP version is the one that ALPN selected, or
/// without TLS that of the client's first bytes.
async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    http: Http,
    work: Work,
    service: impl Answers,
) {
    let Some(tls) = tls else {
        let peer = Peer::new(peer);
        return match in_time(&http, &work, begins_http2(&socket)).await {
            Some(Ok(true)) => http.serve_http2(socket, peer, work, service).await,
            Some(Ok(false)) => http.serve_http1(socket, peer, work, service).await,
            Some(Err(error)) => tracing::debug!(?peer, %error, "connection failed"),
            None => tracing::debug!(?peer, "no request in time"),
        };
    };
    match in_time(&http, &work, tls.accept(socket)).await {
        Some(Ok(stream)) => {
            let peer = Peer::new(peer).https();
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http.serve_http2(stream, peer, work, service).await,
                _ => http.serve_http1(stream, peer, work, service).await,
            }
        }
        Some(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        None => tracing::debug!(%peer, "TLS handshake timed out"),
    }
}

/// Awaits a client's first bytes. `None` at the client timeout, or when the shutdown begins.
async fn in_time<T>(http: &Http, work: &Work, beginning: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        beginning = time::timeout(http.client_timeout(), beginning) => beginning.ok(),
        () = work.draining() => None,
    }
}
