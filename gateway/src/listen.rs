//! Accepting TCP and TLS connections.

use std::{convert::Infallible, future::poll_fn, net::SocketAddr, pin::pin, task::Poll, time::Duration};

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, RETRY_AFTER},
};
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    task, time,
};
use tokio_rustls::TlsAcceptor;
use tower::service_fn;
use tower_upgrade_proxy::Peer;

use crate::{
    Body,
    descriptors::{Reserve, is_exhausted},
    plain,
    preface::{self, Start},
    reset::{ResetUnlessShutDown, is_http_1_0},
    serve::{Http, HttpService},
    shutdown::Work,
};

/// Pause after a failed accept, so that "too many open files" does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Number of connections that are accepted before all other tasks have their turn. When thousands of clients connect at once, most
/// of them then wait in the kernel's queue, which costs little, and tunnels are served between them.
const BUDGET: usize = 4;

/// Maximum time for the refusal of a connection.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))
}

/// Treatment of a connection for which only a descriptor of the reserve is left.
#[derive(Clone)]
pub(crate) enum AtLimit {
    /// It is refused with 503.
    Refuse(Reserve),
    /// It is served like others.
    Serve(Reserve),
}

impl AtLimit {
    fn reserve(&self) -> &Reserve {
        match self {
            Self::Refuse(reserve) | Self::Serve(reserve) => reserve,
        }
    }
}

/// Accepts connections until the drain begins. Errors of `accept` are temporary, and do not end the loop.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    http: Http,
    work: Work,
    at_limit: AtLimit,
    service: impl HttpService,
) {
    let mut draining = pin!(work.draining());
    let mut budget = BUDGET;
    loop {
        if budget == 0 {
            task::yield_now().await;
            budget = BUDGET;
        }
        budget -= 1;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut draining => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                let Some(permit) = http.permit() else {
                    tracing::warn!(%peer, "connection refused: --max-connections are open");
                    continue;
                };
                let (tls, http, work, service) = (tls.clone(), http.clone(), work.clone(), service.clone());
                drop(tokio::spawn(async move {
                    connection(socket, peer, tls, http, work, service).await;
                    drop(permit);
                }));
            }
            Err(error) => {
                let lent = is_exhausted(&error).then(|| at_limit.reserve().lend()).flatten();
                let Some(lent) = lent else {
                    tracing::warn!(%error, "accept failed");
                    time::sleep(ACCEPT_PAUSE).await;
                    at_limit.reserve().refill();
                    continue;
                };
                tracing::warn!(%error, "connection accepted with a reserved descriptor");
                // Another worker may have accepted it, or taken the descriptor.
                let Some((socket, peer)) = accept_now(&listener).await else { continue };
                let (tls, http, work, service) = (tls.clone(), http.clone(), work.clone(), service.clone());
                let is_refused = matches!(at_limit, AtLimit::Refuse(_));
                drop(tokio::spawn(async move {
                    if is_refused {
                        let refused = connection(socket, peer, tls, http, work, service_fn(refuse));
                        let _ = time::timeout(REFUSAL_TIME, refused).await;
                    } else {
                        connection(socket, peer, tls, http, work, service).await;
                    }
                    drop(lent);
                }));
            }
        }
    }
}

/// Accepts a connection if one is waiting.
async fn accept_now(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|cx| match listener.poll_accept(cx) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Response when no descriptor is left for an upstream.
async fn refuse(_: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let text = "503 Service Unavailable: too many open files\n";
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// Serves one connection, after its TLS handshake if TLS is enabled. The HTTP version is selected by ALPN, or without TLS
/// by the client's first bytes.
async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    http: Http,
    work: Work,
    service: impl HttpService,
) {
    let Some(tls) = tls else {
        let peer = Peer::new(peer);
        return match first_bytes(&http, &work, preface::start(socket)).await {
            Some(Ok(Start::Unread { socket, is_http2: false })) if is_http_1_0(&socket) => {
                http.serve(ResetUnlessShutDown::new(socket), false, peer, work, service).await;
            }
            Some(Ok(Start::Unread { socket, is_http2 })) => {
                http.serve(socket, is_http2, peer, work, service).await;
            }
            Some(Ok(Start::Read { socket, is_http2 })) => {
                http.serve(socket, is_http2, peer, work, service).await;
            }
            Some(Err(error)) => tracing::debug!(?peer, %error, "connection failed"),
            None => tracing::debug!(?peer, "no request in time"),
        };
    };
    match first_bytes(&http, &work, Box::pin(tls.accept(socket))).await {
        Some(Ok(stream)) => {
            let peer = Peer::new(peer).https();
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            http.serve(stream, is_http2, peer, work, service).await;
        }
        Some(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        None => tracing::debug!(%peer, "TLS handshake timed out"),
    }
}

/// Awaits a client's first bytes. `None` at the client timeout, or when the shutdown begins.
async fn first_bytes<T>(http: &Http, work: &Work, received: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        received = time::timeout(http.client_timeout(), received) => received.ok(),
        () = work.draining() => None,
    }
}
