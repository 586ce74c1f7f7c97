//! HTTP on connections of clients.

use std::{
    convert::Infallible,
    io,
    num::NonZeroU32,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};
use tower::{Service, ServiceExt};
use tower_upgrade_proxy::Peer;

use crate::{Body, shutdown::Work};

/// Receive window of a stream: the maximum of buffered bytes of a request or of a stalled tunnel.
const STREAM_WINDOW: u32 = 128 * 1024;

/// Minimum receive window of a connection: h2 uses half of it for the overhead of small unread frames.
const CONNECTION_WINDOW: u32 = 128 << 20;

/// Largest window of HTTP/2 ([RFC 9113, 6.9.1](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1)).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// Time without a frame after which an HTTP/2 connection is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Interval between checks for the rest of a partly received preface.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);

/// Service that responds to requests of clients.
pub(crate) trait HttpService:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// HTTP settings of connections.
#[derive(Clone)]
pub(crate) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    client_timeout: Duration,
    keep_alive: Duration,
}

impl Http {
    /// `client_timeout` limits the wait for the head of a request and for the acknowledgement of a ping. An
    /// HTTP/2 connection is closed between one and two `keep_alive` after its last request.
    pub(crate) fn new(client_timeout: Duration, keep_alive: Duration, streams: NonZeroU32) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(client_timeout);
        // Enough for all streams, so that stalled ones do not block the others.
        let connection_window = streams.get().saturating_mul(4 * STREAM_WINDOW);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(streams.get())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window.clamp(CONNECTION_WINDOW, LARGEST_WINDOW))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(client_timeout);
        Self { http1, http2, client_timeout, keep_alive }
    }

    pub(crate) fn client_timeout(&self) -> Duration {
        self.client_timeout
    }

    /// Serves HTTP/1.1 until the connection ends; during a shutdown, until its current request ends.
    pub(crate) async fn serve_http1<I>(&self, io: I, peer: Peer, work: Work, service: impl HttpService)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = TowerToHyperService::new(from(peer, service));
        let connection = self.http1.serve_connection(TokioIo::new(io), service).with_upgrades();
        let mut connection = pin!(connection);
        let end = tokio::select! {
            end = connection.as_mut() => end,
            () = work.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = end {
            tracing::debug!(?peer, %error, "connection failed");
        }
    }

    /// Serves HTTP/2 until the connection ends; during a shutdown, until its requests and tunnels end. Adds timeouts for the
    /// first and for further requests, which hyper does not have.
    pub(crate) async fn serve_http2<I>(&self, io: I, peer: Peer, work: Work, service: impl HttpService)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        let service = from(peer, service).map_request(move |request| {
            counted.fetch_add(1, Ordering::Relaxed);
            request
        });
        let connection = self.http2.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
        let (mut connection, mut before, mut limit) = (pin!(connection), 0, self.client_timeout);
        let mut draining = pin!(work.draining());
        let end = loop {
            let served = tokio::select! {
                served = time::timeout(limit, &mut connection) => served,
                () = &mut draining => {
                    connection.as_mut().graceful_shutdown();
                    break connection.await;
                }
            };
            match served {
                Ok(end) => break end,
                Err(_) => match requests.load(Ordering::Relaxed) {
                    0 => return tracing::debug!(?peer, "no request in time"),
                    now if now == before => {
                        connection.as_mut().graceful_shutdown();
                        break connection.await;
                    }
                    now => (before, limit) = (now, self.keep_alive),
                },
            }
        };
        if let Err(error) = end {
            tracing::debug!(?peer, %error, "connection failed");
        }
    }
}

/// Inserts the peer into each request's extensions.
fn from(peer: Peer, service: impl HttpService) -> impl HttpService {
    service.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    })
}

/// Returns true if the client begins with the preface of HTTP/2. The bytes are peeked, so that the connection
/// remains an unread socket; this costs an HTTP/1.1 connection one system call.
pub(crate) async fn begins_http2(socket: &TcpStream) -> io::Result<bool> {
    /// HTTP/1.1 has no method of this name.
    const PREFACE: &[u8] = b"PRI";
    let mut start = [0; PREFACE.len()];
    loop {
        let length = socket.peek(&mut start).await?;
        if length == 0 || start[..length] != PREFACE[..length] {
            return Ok(false);
        }
        if length == PREFACE.len() {
            return Ok(true);
        }
        time::sleep(PREFACE_PAUSE).await;
    }
}
