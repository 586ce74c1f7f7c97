//! HTTP/1.1 on one connection.

use std::{convert::Infallible, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::{Service, ServiceExt};
use tower_upgrade_proxy::Peer;

use crate::Body;

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
    builder: http1::Builder,
    client_timeout: Duration,
}

impl Http {
    /// `client_timeout` bounds the wait for the head of a request.
    pub(crate) fn new(client_timeout: Duration) -> Self {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(client_timeout);
        Self { builder, client_timeout }
    }

    pub(crate) fn client_timeout(&self) -> Duration {
        self.client_timeout
    }

    /// Serves to the end, in HTTP/1.1 alone: hyper-util's auto builder would wait without limit for the
    /// bytes that tell it from HTTP/2.
    pub(crate) async fn serve<I>(&self, io: I, peer: Peer, service: impl Answers)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = self.builder.serve_connection(TokioIo::new(io), service).with_upgrades();
        if let Err(error) = connection.await {
            tracing::debug!(?peer, %error, "connection failed");
        }
    }
}
