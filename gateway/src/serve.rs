//! HTTP on connections of clients.

use std::{
    convert::Infallible,
    error::Error,
    io,
    num::NonZeroU32,
    pin::{Pin, pin},
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
    server::graceful::GracefulConnection,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};
use tower::{Service, ServiceExt, service_fn};
use tower_upgrade_proxy::{Peer, SendTimeout};

use crate::{Body, shutdown::Work, stalled::Streams};

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
    send_timeout: Option<Duration>,
}

impl Http {
    /// `client_timeout` limits the wait for the head of a request and for the acknowledgement of a ping. An
    /// HTTP/2 connection is closed between one and two `keep_alive` after its last request. `send_timeout` limits the time in
    /// which a client takes nothing of what is to be sent to it, tunnels excepted.
    pub(crate) fn new(
        client_timeout: Duration,
        keep_alive: Duration,
        send_timeout: Option<Duration>,
        streams: NonZeroU32,
    ) -> Self {
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
        Self { http1, http2, client_timeout, keep_alive, send_timeout }
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
        let io = SendTimeout::new(io, self.send_timeout);
        let limit = io.switch();
        let connection = self.http1.serve_connection(TokioIo::new(io), service).with_upgrades();
        let mut connection = pin!(connection);
        let end = tokio::select! {
            end = connection.as_mut() => end,
            () = work.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        // hyper has closed the connection, or released it to a tunnel.
        limit.lift();
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
        let io = SendTimeout::new(io, self.send_timeout);
        let (limit, streams, requests) = (io.switch(), Arc::<Streams>::default(), AtomicUsize::new(0));
        let (service, requests) = (from(peer, service), Arc::new(requests));
        let service = service_fn({
            let (streams, requests) = (Arc::clone(&streams), Arc::clone(&requests));
            move |request: Request<Incoming>| {
                requests.fetch_add(1, Ordering::Relaxed);
                let (service, stream, limit) = (service.clone(), streams.open(), limit.clone());
                let (method, streams) = (request.method().clone(), Arc::clone(&streams));
                async move {
                    let response = stream.respond(&method, service.oneshot(request).await?);
                    if streams.has_tunnel() {
                        limit.lift();
                    }
                    Ok::<_, Infallible>(response)
                }
            }
        });
        let connection = self.http2.serve_connection(TokioIo::new(io), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let end = tokio::select! {
            end = self.drive_http2(connection.as_mut(), &requests, work) => end,
            () = streams.stalled(self.send_timeout) => Err("the client took nothing of its responses in time".into()),
        };
        if let Err(error) = end {
            tracing::debug!(?peer, %error, "connection failed");
        }
    }

    /// Drives an HTTP/2 connection to its end, with timeouts for its first and for further requests.
    async fn drive_http2<C>(
        &self,
        mut connection: Pin<&mut C>,
        requests: &AtomicUsize,
        work: Work,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let (mut before, mut limit) = (0, self.client_timeout);
        let mut draining = pin!(work.draining());
        loop {
            let served = tokio::select! {
                served = time::timeout(limit, connection.as_mut()) => served,
                () = &mut draining => break,
            };
            match served {
                Ok(end) => return Ok(end?),
                Err(_) => match requests.load(Ordering::Relaxed) {
                    0 => return Err("no request in time".into()),
                    now if now == before => break,
                    now => (before, limit) = (now, self.keep_alive),
                },
            }
        }
        connection.as_mut().graceful_shutdown();
        Ok(connection.await?)
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
