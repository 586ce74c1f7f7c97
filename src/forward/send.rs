//! Sending a request: on a shared connection in HTTP/2, or on one of the pool in HTTP/1.1.
//!
//! # Repeat
//!
//! An upstream may close a connection just as the next request is sent on it. A request of which nothing was written is
//! sent again, whatever it is. One that was written may have been processed: it is sent again, once and on a new
//! connection, if its method is idempotent ([RFC 9110, 9.2.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2)), it
//! has no body, and no byte of a response was received. A request that fails on a new connection is never sent again.

use std::mem;

use http::{Method, Request, Response, request::Parts};
use http_body_util::Either;

use super::Forward;
use crate::{
    body::{self, Outgoing},
    connect::{
        ATTEMPTS, ClientConnection, ConnectTimeouts, Http2Attempt, Http2Request, Purpose,
        body::Source,
        h1::pooled::{self, Lease},
        report_repeat,
    },
    error::Error,
    exchange::{Failed, is_unprocessed},
    rewrite::http2,
    upstream::Upstream,
};

impl Forward {
    /// Sends `request`, on a connection that `client` may use.
    pub(super) async fn send(
        &self,
        request: Request<Outgoing>,
        upstream: &Upstream,
        client: Option<&ClientConnection>,
        connecting: ConnectTimeouts,
    ) -> Result<Response<Source>, Failed> {
        let connector = &self.config.connector;
        // Only a request without a body can be sent again.
        let attempts = if matches!(request.body(), Either::Left(_)) { ATTEMPTS } else { 1 };
        let is_repeatable = is_repeatable(&request);
        let mut request = request.into_parts();
        let (head, target) = (&mut request, upstream.clone());
        let in_http2 = Http2Request {
            purpose: Purpose::Requests,
            make: move |attempt| http2_request(head, attempt == attempts, &target),
            attempts,
            is_repeatable,
            timeout: None,
        };
        match connector.exchange_http2(upstream, connecting, in_http2).await {
            Ok(Http2Attempt::Response(response, stream)) => Ok(response.map(|()| stream.into_body().into())),
            Ok(Http2Attempt::Http1(_)) => {
                let (head, body) = request;
                self.send_http1(Request::from_parts(head, body), upstream, client, connecting).await
            }
            Err(error) => {
                // A body that the last attempt has taken may have been sent in part.
                let unsent = error.is_unreached() || is_unprocessed(&error) && attempts > 1;
                Err(Failed { error, unsent: unsent.then_some(request.1) })
            }
        }
    }

    async fn send_http1(
        &self,
        mut request: Request<Outgoing>,
        upstream: &Upstream,
        client: Option<&ClientConnection>,
        connecting: ConnectTimeouts,
    ) -> Result<Response<Source>, Failed> {
        let auth = self.config.connector.connection_auth;
        // Enough for any connection that closes meanwhile; after that, a new one.
        for _ in 1..ATTEMPTS {
            let Some(lease) = self.pool.take(upstream, client) else { break };
            let is_repeatable = is_repeatable(&request);
            let (head, body) = request.into_parts();
            let spare = is_repeatable.then(|| head.clone());
            let failed = match lease.exchange(Request::from_parts(head, body), auth, client).await {
                Ok(response) => return Ok(response.map(Source::from)),
                Err(failed) => failed,
            };
            let pooled::Failed { cause, unsent, has_received } = failed;
            match (unsent, spare) {
                (Some(unsent), _) => request = unsent,
                (None, Some(spare)) if !has_received => {
                    report_repeat(upstream, &*cause);
                    request = Request::from_parts(spare, body::empty());
                    break;
                }
                _ => return Err(Error::from_exchange(upstream, cause).into()),
            }
        }
        let lease = match self.connect(upstream, connecting).await {
            Ok(lease) => lease,
            Err(error) => {
                let unsent = error.is_unreached().then(|| request.into_body());
                return Err(Failed { error, unsent });
            }
        };
        let response = lease.exchange(request, auth, client).await;
        response
            .map(|response| response.map(Source::from))
            .map_err(|failed| Error::from_exchange(upstream, failed.cause).into())
    }

    /// Opens a connection.
    async fn connect(&self, upstream: &Upstream, connecting: ConnectTimeouts) -> Result<Lease, Error> {
        let connector = &self.config.connector;
        let transport = connector.connect_http1(upstream.address(), connecting.connect).await;
        let transport = transport.map_err(|cause| Error::from_connect(upstream, cause))?;
        let lease = self.pool.start(upstream, transport).await;
        lease.map_err(|cause| Error::from_exchange(upstream, cause))
    }
}

/// Returns true if the request may be sent again after it may have been processed.
pub(super) fn is_repeatable(request: &Request<Outgoing>) -> bool {
    const IDEMPOTENT: [Method; 6] =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE];
    matches!(request.body(), Either::Left(_)) && IDEMPOTENT.contains(request.method())
}

/// Returns `request` in HTTP/2. Only the last attempt takes it with its body.
fn http2_request(
    request: &mut (Parts, Outgoing),
    is_last: bool,
    upstream: &Upstream,
) -> Result<Request<Outgoing>, Error> {
    let (mut parts, body) = match is_last {
        true => mem::replace(request, Request::new(body::empty()).into_parts()),
        false => (request.0.clone(), body::empty()),
    };
    http2::convert(&mut parts, upstream)?;
    Ok(Request::from_parts(parts, body))
}
