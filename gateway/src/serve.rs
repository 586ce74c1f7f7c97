//! HTTP on connections of clients.

use std::{
    convert::Infallible,
    error::Error,
    future::pending,
    num::{NonZeroU32, NonZeroUsize},
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, UPGRADE},
};
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
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tower::{Service, ServiceExt, service_fn};
use tower_upgrade_proxy::{ClientConnection, Error as ProxyError, Peer, SendTimeout};

use crate::{
    Body,
    handshakes::Handshakes,
    head_timer::{DRAIN_TIME, HeadTimer},
    in_progress::InProgress,
    linger::linger,
    requests::Requests,
    shutdown::Work,
    stalled::Streams,
};

/// Maximum number of bytes of a stream that wait for the client's socket, which cost much more in small frames.
const SEND_BUFFER: usize = 64 << 10;

/// Receive window of a stream: the maximum of buffered bytes of a request or of a stalled tunnel.
const STREAM_WINDOW: u32 = 128 * 1024;

/// Minimum receive window of a connection: h2 uses half of it for the overhead of small unread frames.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Maximum size of a head in HTTP/1.1, and of the list of fields in HTTP/2 with 32 bytes for each.
const HEAD_SIZE: u32 = 64 << 10;
const HEADER_LIST_SIZE: u32 = 16 << 10;

/// Largest window of HTTP/2 ([RFC 9113, 6.9.1](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1)).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// Time without a frame after which an HTTP/2 connection is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);

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
    config: HttpConfig,
    connections: Option<Arc<Semaphore>>,
    handshakes: Handshakes,
}

/// Limits of connections.
#[derive(Clone)]
pub(crate) struct HttpConfig {
    /// Limit of the wait for the head of a first request, for the rest of each head, and for the acknowledgement of a ping.
    pub(crate) client_timeout: Duration,
    /// Limit of the wait for a further request. An HTTP/2 connection is closed between one and two times it after its last
    /// request.
    pub(crate) keep_alive: Duration,
    /// Limit of the time in which a client takes nothing of what is to be sent to it, tunnels excepted.
    pub(crate) send_timeout: Option<Duration>,
    /// Maximum number of concurrent streams in HTTP/2.
    pub(crate) streams: NonZeroU32,
    /// Maximum number of connections.
    pub(crate) connections: NonZeroUsize,
    /// Maximum number of requests of a connection.
    pub(crate) requests: NonZeroUsize,
    pub(crate) preserve_header_case: bool,
    pub(crate) title_case_headers: bool,
}

impl Http {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        let mut http1 = http1::Builder::new();
        http1.header_read_timeout(config.client_timeout).max_buf_size(HEAD_SIZE as usize);
        http1.preserve_header_case(config.preserve_header_case).title_case_headers(config.title_case_headers);
        // Enough for all streams, so that stalled ones do not block the others.
        let connection_window = config.streams.get().saturating_add(1).saturating_mul(STREAM_WINDOW);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(config.streams.get())
            .max_header_list_size(HEADER_LIST_SIZE)
            .max_send_buf_size(SEND_BUFFER)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window.clamp(CONNECTION_WINDOW, LARGEST_WINDOW))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(config.client_timeout);
        let connections = config.connections.get().min(Semaphore::MAX_PERMITS);
        let connections = Some(Arc::new(Semaphore::new(connections)));
        Self { http1, http2, config: config.clone(), connections, handshakes: Handshakes::default() }
    }

    /// The same settings without a limit of connections, and with handshakes of their own.
    pub(crate) fn without_limit(&self) -> Self {
        Self { connections: None, handshakes: Handshakes::default(), ..self.clone() }
    }

    /// Returns a permit for one connection, without effect if they are not limited. `None` at the limit.
    pub(crate) fn permit(&self) -> Option<Option<OwnedSemaphorePermit>> {
        match &self.connections {
            Some(connections) => Arc::clone(connections).try_acquire_owned().ok().map(Some),
            None => Some(None),
        }
    }

    pub(crate) fn client_timeout(&self) -> Duration {
        self.config.client_timeout
    }

    /// Serves the version of HTTP that the client has selected.
    pub(crate) async fn serve<I>(
        &self,
        io: I,
        is_http2: bool,
        peer: Peer,
        work: Work,
        service: impl HttpService,
    ) where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // In a box: a connection takes the memory of its version only.
        match is_http2 {
            true => Box::pin(self.serve_http2(io, peer, work, service)).await,
            false => Box::pin(self.serve_http1(io, peer, work, service)).await,
        }
    }

    /// Serves HTTP/1.1 until the connection ends; during a shutdown, until its current request ends.
    async fn serve_http1<I>(&self, io: I, peer: Peer, work: Work, service: impl HttpService)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.handshakes.turn().await;
        let requests = Requests::new(self.config.requests);
        let in_progress = Arc::<InProgress>::default();
        let service = closing_last(from(peer, service), requests);
        let service = TowerToHyperService::new(service_fn({
            let (in_progress, handshakes) = (Arc::clone(&in_progress), self.handshakes.clone());
            move |request: Request<Incoming>| {
                let (service, in_progress) = (service.clone(), in_progress.begin(&request));
                let handshake = handshakes.begin(&request);
                async {
                    let response = service.oneshot(request).await;
                    drop(handshake);
                    response.map(|response| in_progress.respond(response))
                }
            }
        }));
        let io = SendTimeout::new(io, self.config.send_timeout);
        let limit = io.switch();
        let HttpConfig { client_timeout, keep_alive, .. } = self.config;
        let timer = HeadTimer::new(client_timeout, keep_alive, io.bytes_received());
        let is_draining = Arc::clone(timer.is_draining());
        let mut http1 = self.http1.clone();
        http1.timer(timer);
        let mut connection = http1.serve_connection(TokioIo::new(io), service).with_upgrades();
        let end = tokio::select! {
            end = &mut connection => Some(end),
            () = work.draining() => None,
        };
        let end = match end {
            Some(end) => end,
            None => {
                is_draining.store(true, Ordering::Relaxed);
                Pin::new(&mut connection).graceful_shutdown();
                tokio::select! {
                    end = &mut connection => end,
                    () = work.requests_over(&in_progress) => return,
                }
            }
        };
        // hyper has closed the connection, or released it to a tunnel.
        limit.lift();
        if let Err(error) = end {
            tracing::debug!(?peer, %error, "connection failed");
            // The client may still be writing the request that hyper has refused.
            if error.is_parse()
                && let Some(parts) = connection.into_parts()
            {
                linger(parts.io.into_inner(), &work).await;
            }
        }
    }

    /// Serves HTTP/2 until the connection ends; during a shutdown, until its requests and tunnels end. Adds timeouts for the
    /// first and for further requests, which hyper does not have.
    async fn serve_http2<I>(&self, io: I, peer: Peer, work: Work, service: impl HttpService)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let io = SendTimeout::new(io, self.config.send_timeout);
        let (limit, streams, requests) =
            (io.switch(), Arc::<Streams>::default(), Requests::new(self.config.requests));
        let (service, requests) = (from(peer, service), Arc::new(requests));
        let in_progress = Arc::<InProgress>::default();
        let service = service_fn({
            let (streams, requests) = (Arc::clone(&streams), Arc::clone(&requests));
            let in_progress = Arc::clone(&in_progress);
            move |request: Request<Incoming>| {
                requests.add();
                let (service, stream, limit) = (service.clone(), streams.open(), limit.clone());
                let (method, streams) = (request.method().clone(), Arc::clone(&streams));
                let in_progress = in_progress.begin(&request);
                async move {
                    let response = service.oneshot(request).await?;
                    let response = stream.respond(&method, in_progress.respond(response));
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
            end = self.drive_http2(connection.as_mut(), &requests, &work) => end,
            // Requests on a connection with a tunnel have the grace period of tunnels.
            () = requests_over(&work, &in_progress, &streams) => return,
            () = streams.stalled(self.config.send_timeout) => Err("the client took nothing of its responses in time".into()),
        };
        if let Err(error) = end {
            tracing::debug!(?peer, %error, "connection failed");
        }
    }

    /// Drives an HTTP/2 connection to its end, with timeouts for its first and for further requests.
    async fn drive_http2<C>(
        &self,
        mut connection: Pin<&mut C>,
        requests: &Requests,
        work: &Work,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let (mut before, mut limit) = (0, self.config.client_timeout);
        let mut draining = pin!(work.draining());
        loop {
            let served = tokio::select! {
                served = time::timeout(limit, connection.as_mut()) => served,
                () = &mut draining => break,
                () = requests.exhausted() => break,
            };
            match served {
                Ok(end) => return Ok(end?),
                Err(_) => match requests.number() {
                    0 => return Err("no request in time".into()),
                    now if now == before => break,
                    now => (before, limit) = (now, self.config.keep_alive),
                },
            }
        }
        connection.as_mut().graceful_shutdown();
        if requests.number() > 0 {
            return Ok(connection.await?);
        }
        // hyper waits for the rest of a preface, and for the acknowledgement of a ping.
        Ok(time::timeout(DRAIN_TIME, connection).await.map_err(|_| "no request before the shutdown")??)
    }
}

/// Ready when the grace period of requests is over, if no stream became a tunnel.
async fn requests_over(work: &Work, requests: &Arc<InProgress>, streams: &Streams) {
    work.draining().await;
    work.requests_over(requests).await;
    if streams.has_tunnel() {
        pending::<()>().await;
    }
}

/// Inserts the peer and the connection into each request's extensions.
fn from(peer: Peer, service: impl HttpService) -> impl HttpService {
    let connection = ClientConnection::new();
    service.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(connection.clone());
        request
    })
}

/// Adds `Connection: close` to the response of the connection's last request in HTTP/1.1, and to a refused `CONNECT`: the bytes
/// behind it may be meant for the tunnel, and must not be parsed as a request
/// ([RFC 9931, 8](https://www.rfc-editor.org/rfc/rfc9931#section-8)). Also to an upgrade that failed at the gateway or its
/// upstream: WebSocket clients try again on a new connection, and with thousands of them the old ones would take memory.
fn closing_last(service: impl HttpService, requests: Requests) -> impl HttpService {
    let requests = Arc::new(requests);
    service_fn(move |request: Request<Incoming>| {
        let (service, is_last) = (service.clone(), requests.add());
        let is_connect = request.method() == Method::CONNECT;
        let is_upgrade = request.headers().contains_key(UPGRADE);
        async move {
            let mut response = service.oneshot(request).await?;
            let has_failed =
                response.status().is_server_error() && response.extensions().get::<ProxyError>().is_some();
            let is_refused = is_connect && !response.status().is_success() || is_upgrade && has_failed;
            if is_refused || is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::Instant,
    };

    use super::*;
    use crate::{
        plain,
        shutdown::{Shutdown, Times},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn http() -> Http {
        Http::new(&HttpConfig {
            client_timeout: SECOND,
            keep_alive: SECOND,
            send_timeout: None,
            streams: NonZeroU32::MIN,
            connections: NonZeroUsize::MIN,
            requests: NonZeroUsize::MIN,
            preserve_header_case: false,
            title_case_headers: false,
        })
    }

    /// Upgrades wait forever.
    async fn respond(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if request.headers().contains_key(UPGRADE) {
            pending::<()>().await;
        }
        Ok(plain(StatusCode::OK, ""))
    }

    /// A request on a connection of its own.
    async fn send(http: &Http, work: &Work, head: &str) -> DuplexStream {
        let (mut client, server) = duplex(4096);
        let (http, work, peer) = (http.clone(), work.clone(), Peer::new(([127, 0, 0, 1], 1).into()));
        drop(tokio::spawn(async move { http.serve(server, false, peer, work, service_fn(respond)).await }));
        client.write_all(head.as_bytes()).await.unwrap();
        client
    }

    async fn time_of_response(http: &Http, work: &Work) -> Duration {
        let started = Instant::now();
        let mut client = send(http, work, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut status = [0; "HTTP/1.1 200".len()];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn beside_many_handshakes_a_connection_waits_for_its_turn() {
        let times = Times { lame_duck: Duration::ZERO, tunnels: SECOND, requests: SECOND, jitter: None };
        let (http, (_shutdown, work)) = (http(), Shutdown::new(times));
        assert_eq!(time_of_response(&http, &work).await, Duration::ZERO);
        let mut handshakes = Vec::new();
        for _ in 0..256 {
            let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            handshakes.push(send(&http, &work, head).await);
        }
        assert!(time_of_response(&http, &work).await > Duration::ZERO);
        // The status listener.
        assert_eq!(time_of_response(&http.without_limit(), &work).await, Duration::ZERO);
        drop(handshakes);
        time::sleep(SECOND / 10).await;
        assert_eq!(time_of_response(&http, &work).await, Duration::ZERO);
    }
}
