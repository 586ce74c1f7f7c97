//! Exchange with the upstream: an upgrade request and its response head, in either version of HTTP.

use std::{error::Error as _, time::Duration};

use http::{HeaderValue, Request, Response, StatusCode, request::Parts};
use tokio::time::timeout;

use crate::{
    body::{self, Outgoing, Upload},
    connect::{
        ATTEMPTS, ConnectTimeouts, Connector, Http2Attempt, Http2Request, Purpose, ResponseConnection,
        Unprocessed, h1,
    },
    error::{Error, Kind},
    handshake::encode,
    io::transport::Transport,
    pool::{Selected, Selection},
    trace,
    upstream::Upstream,
};

/// A response head, and the connection it was received on.
pub(crate) type Exchanged = (Response<()>, ResponseConnection);

/// Failure of an exchange.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// The body of the request, if no part of the request was sent.
    pub(crate) unsent: Option<Outgoing>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, unsent: None }
    }
}

impl Failed {
    /// Returns the endpoint for another attempt, and the body for it: that of the request, if it was not sent, or none if the
    /// request can be repeated and has none.
    ///
    /// # Errors
    ///
    /// This one, if it ends the request.
    pub(crate) fn next_attempt(
        self,
        selection: &mut Selection,
        selected: Selected,
        is_repeatable: bool,
        parts: &Parts,
    ) -> Result<(Selected, Outgoing), Error> {
        let Self { error, unsent } = self;
        let repeated = || (is_repeatable && selection.repeats(&error)).then(body::empty);
        let Some(body) = unsent.or_else(repeated) else { return Err(error) };
        let Some(next) = selection.retry(selected, parts) else { return Err(error) };
        trace::failed_over(&error, &next.upstream);
        Ok((next, body))
    }
}

/// Timeouts of an exchange.
#[derive(Clone, Copy)]
pub(crate) struct ExchangeTimeouts {
    pub(crate) connecting: ConnectTimeouts,
    pub(crate) handshake: Duration,
}

/// Connects, sends `request`, an upgrade to `protocol` in HTTP/1.1, and waits for the response head. The request
/// is converted for an upstream that takes it in HTTP/2. If that is not possible or not supported, HTTP/1.1 is
/// tried.
///
/// # Errors
///
/// Those of connecting and of the exchange; the connect and handshake timeouts, the latter as a failure of the
/// client if the rest of its body is outstanding.
pub(crate) async fn exchange(
    connector: &Connector,
    timeouts: ExchangeTimeouts,
    protocol: &HeaderValue,
    upstream: &Upstream,
    request: Request<Outgoing>,
    upload: &Upload,
) -> Result<Exchanged, Failed> {
    if !encode::fits_http2(&request) {
        return exchange_http1(connector, timeouts, upstream, None, request, upload).await;
    }
    let (head, body) = request.into_parts();
    let connect = Http2Request {
        purpose: Purpose::Upgrade,
        make: |_| encode::extended_connect(&head, protocol, upstream),
        attempts: ATTEMPTS,
        is_repeatable: false,
        timeout: Some(timeouts.handshake),
    };
    let attempt = match connector.exchange_http2(upstream, timeouts.connecting, connect).await {
        Ok(attempt) => attempt,
        Err(error) => {
            let unsent = (error.is_unreached() || is_unprocessed(&error)).then_some(body);
            return Err(Failed { error, unsent });
        }
    };
    match attempt {
        Http2Attempt::Response(response, stream) => {
            let connection = ResponseConnection::Http2(stream);
            if !is_unsupported(response.status()) {
                return Ok((response, connection));
            }
            let request = Request::from_parts(head, body);
            let retried = exchange_http1(connector, timeouts, upstream, None, request, upload).await;
            Ok(retried.unwrap_or((response, connection)))
        }
        Http2Attempt::Http1(fallback) => {
            let request = Request::from_parts(head, body);
            let exchanged =
                exchange_http1(connector, timeouts, upstream, fallback.transport, request, upload).await;
            exchanged.map_err(|Failed { error, unsent }| match fallback.reason {
                Some(reason) if error.is_connect() || error.is_upstream_protocol() => {
                    Failed { error: error.with_kind(Kind::NoHttp2(reason)), unsent }
                }
                _ => Failed { error, unsent },
            })
        }
    }
}

/// Returns true if the upstream has not processed the request, although it was sent.
pub(crate) fn is_unprocessed(error: &Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error>::is::<Unprocessed>)
}

/// Returns true if `status` may mean that a server supports extended CONNECT, but not for this resource: many
/// enable it for an application that handles GET only. HTTP/1.1 is tried then.
fn is_unsupported(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Exchanges on `transport`, or else on a new connection.
async fn exchange_http1(
    connector: &Connector,
    timeouts: ExchangeTimeouts,
    upstream: &Upstream,
    transport: Option<Transport>,
    request: Request<Outgoing>,
    upload: &Upload,
) -> Result<Exchanged, Failed> {
    let transport = match transport {
        Some(transport) => transport,
        None => match connector.connect_http1(upstream.address(), timeouts.connecting.connect).await {
            Ok(transport) => transport,
            Err(cause) => {
                let error = Error::from_connect(upstream, cause);
                let unsent = error.is_unreached().then(|| request.into_body());
                return Err(Failed { error, unsent });
            }
        },
    };
    match timeout(timeouts.handshake, h1::exchange(transport, request, connector.header_case)).await {
        Ok(Ok((response, http))) => {
            let (parts, body) = response.into_parts();
            Ok((Response::from_parts(parts, ()), ResponseConnection::Http1 { http, body }))
        }
        Ok(Err(cause)) => Err(Error::from_exchange(upstream, cause).into()),
        Err(_) if upload.awaits_client() => Err(Error::new(Kind::RequestTimeout).into()),
        Err(_) => Err(Error::at(Kind::HandshakeTimeout, upstream).into()),
    }
}
