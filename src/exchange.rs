//! Exchange with the upstream: an upgrade request and its response head, in either version of HTTP.

use http::{HeaderValue, Request, Response, StatusCode};
use tokio::time::timeout;

use crate::{
    body::{Outgoing, Upload},
    config::Timeouts,
    connect::{ATTEMPTS, Connector, Http2Attempt, Http2Request, Purpose, ResponseConnection, h1},
    error::{Error, Kind},
    handshake::encode,
    io::transport::Transport,
    upstream::Upstream,
};

/// A response head, and the connection it was received on.
type Exchanged = (Response<()>, ResponseConnection);

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
    timeouts: &Timeouts,
    protocol: &HeaderValue,
    upstream: &Upstream,
    request: Request<Outgoing>,
    upload: &Upload,
) -> Result<Exchanged, Error> {
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
    match connector.exchange_http2(upstream, timeouts.connecting(), connect).await? {
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
            exchanged.map_err(|error| match fallback.reason {
                Some(reason) if error.is_connect() || error.is_upstream_protocol() => {
                    error.with_kind(Kind::NoHttp2(reason))
                }
                _ => error,
            })
        }
    }
}

/// Returns true if `status` may mean that a server supports extended CONNECT, but not for this resource: many
/// enable it for an application that handles GET only. HTTP/1.1 is tried then.
fn is_unsupported(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Exchanges on `transport`, or else on a new connection.
async fn exchange_http1(
    connector: &Connector,
    timeouts: &Timeouts,
    upstream: &Upstream,
    transport: Option<Transport>,
    request: Request<Outgoing>,
    upload: &Upload,
) -> Result<Exchanged, Error> {
    let transport = match transport {
        Some(transport) => transport,
        None => {
            let connected = connector.connect_http1(upstream.address(), timeouts.connect).await;
            connected.map_err(|cause| Error::from_connect(upstream, cause))?
        }
    };
    match timeout(timeouts.handshake, h1::exchange(transport, request, connector.header_case)).await {
        Ok(Ok((response, http))) => {
            let (parts, body) = response.into_parts();
            Ok((Response::from_parts(parts, ()), ResponseConnection::Http1 { http, body }))
        }
        Ok(Err(cause)) => Err(Error::from_exchange(upstream, cause)),
        Err(_) if upload.awaits_client() => Err(Error::new(Kind::RequestTimeout)),
        Err(_) => Err(Error::at(Kind::HandshakeTimeout, upstream)),
    }
}
