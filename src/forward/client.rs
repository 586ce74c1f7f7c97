//! The pool of HTTP/1.1 connections for ordinary requests: hyper-util's client.
//!
//! The client finds its connections by scheme and authority of a URI. For a unix socket these are the scheme
//! `unix` and the socket's path in hexadecimal, which [`Dial`] decodes.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tower_service::Service;

use crate::{
    body::Outgoing,
    config::Timeouts,
    connect::{Connector, interim::InterimLimit},
    error::{BoxError, Error},
    io::{bounded::Bounded, read_first::ReadFirst},
    time::NEVER,
    upstream::{Address, Upstream},
};

pub(super) type Client = legacy::Client<Dial, Outgoing>;

pub(super) fn build(connector: &Connector, timeouts: &Timeouts) -> Client {
    let dial = Dial { connector: connector.clone(), timeout: timeouts.connect };
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        // The pool panics when the end of its wait is beyond the range of the clock.
        .pool_idle_timeout(timeouts.pool_idle.min(NEVER))
        .set_host(false)
        .http1_preserve_header_case(connector.header_case.preserve)
        .http1_title_case_headers(connector.header_case.title)
        .build(dial)
}

/// Opens connections for the pool.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    connector: Connector,
    timeout: Duration,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<ReadFirst<Bounded<InterimLimit>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { connector, timeout } = self.clone();
        Box::pin(async move {
            let address = Address::from_pool_uri(uri);
            let transport = connector.connect_http1(&address, timeout).await?;
            Ok(TokioIo::new(ReadFirst::new(Bounded::new(transport, InterimLimit::default()))))
        })
    }
}

/// Converts an error of the pool.
pub(super) fn error(upstream: &Upstream, error: legacy::Error) -> Error {
    match error.is_connect() {
        true => Error::from_connect(upstream, error.into()),
        false => Error::from_exchange(upstream, error.into()),
    }
}
