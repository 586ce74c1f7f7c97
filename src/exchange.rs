//! Putting an upgrade to the upstream, in the version of HTTP that it takes.

use http::{Request, Response, StatusCode, request::Parts};
use tokio::time::timeout;

use crate::{
    body::Outgoing, config::Timeouts, connect::Alpn, connect::Connection, connect::Connector,
    connect::Purpose, connect::h1, connect::h2, connect::h2::ATTEMPTS, connect::h2::Unprocessed,
    connect::h2::pool::Route, error::BoxError, error::Error, error::Kind, handshake::Handshake,
    handshake::encode, io::transport::Transport, upstream::Upstream,
};

/// The head of an answer, and what it came on.
type Exchanged = (Response<()>, Connection);

enum Http2Attempt {
    Response(Exchanged),
    /// Not in HTTP/2. On this connection then, or else on a new one.
    Http1(Option<Transport>, Option<&'static str>),
}

/// Connects, sends `request`, which is in HTTP/1.1, and waits for the head of the answer.
pub(crate) async fn exchange(
    connector: &Connector,
    timeouts: &Timeouts,
    handshake: &Handshake,
    upstream: &Upstream,
    request: Request<Outgoing>,
) -> Result<Exchanged, Error> {
    if !encode::fits_http2(&request) {
        return in_http1(connector, timeouts, upstream, None, request).await;
    }
    let (head, body) = request.into_parts();
    match in_http2(connector, timeouts, handshake, upstream, &head).await? {
        Http2Attempt::Response(response) if !is_unable(response.0.status()) => Ok(response),
        Http2Attempt::Response(response) => {
            let request = Request::from_parts(head, body);
            Ok(in_http1(connector, timeouts, upstream, None, request).await.unwrap_or(response))
        }
        Http2Attempt::Http1(transport, reason) => {
            let response =
                in_http1(connector, timeouts, upstream, transport, Request::from_parts(head, body)).await;
            response.map_err(|error| match reason {
                Some(reason) if error.is_connect() || error.is_upstream_protocol() => {
                    error.instead(Kind::NoHttp2(reason))
                }
                _ => error,
            })
        }
    }
}

/// Whether a server says with `status` that it knows extended CONNECT, but not for this resource:
/// many have it switched on for an application that handles GET alone. HTTP/1.1 is worth a try.
fn is_unable(status: StatusCode) -> bool {
    matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

async fn in_http2(
    connector: &Connector,
    timeouts: &Timeouts,
    handshake: &Handshake,
    upstream: &Upstream,
    head: &Parts,
) -> Result<Http2Attempt, Error> {
    let mut attempt = 1;
    loop {
        let route = connector.route(upstream, Purpose::Upgrade, timeouts.connecting()).await;
        let place = match route.map_err(|cause| Error::connecting(upstream, cause))? {
            Route::Http2(place) => place,
            Route::Http1 { transport, reason } => return Ok(Http2Attempt::Http1(transport, reason)),
        };
        let connect = encode::extended_connect(head, &handshake.protocol, upstream)?;
        match timeout(timeouts.handshake, h2::exchange(place, connect)).await {
            Ok(Ok((response, answer))) => {
                return Ok(Http2Attempt::Response((response, Connection::Http2(answer))));
            }
            Ok(Err(error)) if error.is::<Unprocessed>() && attempt < ATTEMPTS => attempt += 1,
            Ok(Err(error)) => return Err(Error::exchanging(upstream, error)),
            Err(_) => return Err(Error::at(Kind::HandshakeTimeout, upstream)),
        }
    }
}

async fn in_http1(
    connector: &Connector,
    timeouts: &Timeouts,
    upstream: &Upstream,
    transport: Option<Transport>,
    request: Request<Outgoing>,
) -> Result<Exchanged, Error> {
    let transport = match transport {
        Some(transport) => transport,
        None => {
            let connect = connector.connect(upstream.address(), timeouts.connect, Alpn::Http1);
            connect.await.map_err(|cause| Error::connecting(upstream, cause))?
        }
    };
    match timeout(timeouts.handshake, h1::exchange(transport, request, connector.header_case)).await {
        Ok(Ok((response, http))) => {
            let (parts, body) = response.into_parts();
            Ok((Response::from_parts(parts, ()), Connection::Http1 { http, body }))
        }
        Ok(Err(cause)) => Err(Error::exchanging(upstream, BoxError::from(cause))),
        Err(_) => Err(Error::at(Kind::HandshakeTimeout, upstream)),
    }
}
