//! HTTP on one connection: HTTP/2 when it begins with that version's preface, else HTTP/1.1.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time,
};
use tower::{Service, ServiceExt};
use tower_upgrade_proxy::Peer;

use crate::Body;

/// Bytes of a request that may come before somebody takes them. A tunnel that stands still holds no more.
const STREAM_WINDOW: u32 = 128 * 1024;

/// The largest window of HTTP/2 ([RFC 9113, 6.9.1](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.1)).
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// How long an HTTP/2 connection may be silent before it is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// What answers requests.
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

/// How connections are served.
#[derive(Clone)]
pub(crate) struct Http {
    builder: auto::Builder<TokioExecutor>,
    client_timeout: Duration,
}

impl Http {
    /// `client_timeout` bounds the wait for the head of a request and for the answer to a ping.
    pub(crate) fn new(client_timeout: Duration, streams: NonZeroU32) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(client_timeout);
        // All streams may stand still, and still none waits for another.
        let connection_window = streams.get().saturating_mul(STREAM_WINDOW).min(LARGEST_WINDOW);
        builder
            .http2()
            .timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(streams.get())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(connection_window)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(client_timeout);
        Self { builder, client_timeout }
    }

    pub(crate) fn client_timeout(&self) -> Duration {
        self.client_timeout
    }

    /// Serves to the end. The builder would wait without limit for the bytes that tell the versions
    /// apart, and for the first request in HTTP/2.
    pub(crate) async fn serve<I>(&self, io: I, peer: Peer, service: impl Answers)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let requested = Arc::new(AtomicBool::new(false));
        let request_came = Arc::clone(&requested);
        let service = service.map_request(move |mut request: Request<Incoming>| {
            request_came.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(peer);
            request
        });
        let service = TowerToHyperService::new(service);
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(TokioIo::new(io), service));
        let end = match time::timeout(self.client_timeout, &mut connection).await {
            Ok(end) => end,
            Err(_) if requested.load(Ordering::Relaxed) => connection.await,
            Err(_) => return tracing::debug!(?peer, "no request in time"),
        };
        if let Err(error) = end {
            tracing::debug!(?peer, %error, "connection failed");
        }
    }
}
