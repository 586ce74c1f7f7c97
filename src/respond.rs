//! Failure responses of the proxy, and relayed responses of the upstream.
//!
//! # Refused CONNECT
//!
//! A refused CONNECT ends its connection, also if the inner service refused it: the bytes behind it may
//! belong to a third party, meant for the tunnel that was not opened, and would be parsed as the client's
//! next request ([RFC 9931, 8](https://www.rfc-editor.org/rfc/rfc9931#section-8)). This is the only change
//! that the layer makes to a response of the inner service. A refused upgrade does not end its connection,
//! because WebSocket clients must wait for the response.

use http::{
    HeaderValue, Method, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, UPGRADE},
};
use http_body::Body;
use http_body_util::Full;

use crate::{
    authorize::Failure,
    body::{BoxBody, ProxyBody, ResponseBody, trailers::FilteredTrailers},
    config::Hooks,
    connect::body::UpstreamBody,
    error::{Error, Kind},
    handshake::{Handshake, Mechanism},
    limits::Permit,
    metrics,
    received::Received,
    refusal::{self, BodyLimits, TooLarge},
    rewrite::{framing, hop_by_hop, tokens},
    trace,
    upstream::Upstream,
};

/// `Retry-After` of a 429 or 503: long enough for a tunnel to end, short enough for a person.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// Reports that `request` is refused, and returns the response for it: that of the application, or status and reason as
/// text.
///
/// No response of the application may mean a tunnel to the client: a 1xx, or a 2xx to a `CONNECT`.
pub(crate) fn failure(hooks: &Hooks, failure: impl Into<Failure>, request: &Received) -> Response<ProxyBody> {
    let Failure { error, response } = failure.into();
    trace::refused(&error, request);
    metrics::refused(&error);
    let mut response = match (response, &hooks.error_response) {
        (Some(response), _) => response.map(ProxyBody::Rejection),
        (None, Some(make)) => make(&error).map(ProxyBody::Text),
        (None, None) => plain(&error).map(ProxyBody::Text),
    };
    let is_tunnel = |status: StatusCode| {
        status.is_informational() || request.method == Method::CONNECT && status.is_success()
    };
    if is_tunnel(response.status()) {
        let status = Some(error.status()).filter(|status| !is_tunnel(*status));
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    }
    if error.is_request_timeout() && request.version < Version::HTTP_2 {
        // The rest of the body is not read.
        close_refused(&mut response);
    }
    response.extensions_mut().insert(error);
    match request.method == Method::HEAD {
        true => without_body(response, request.version),
        false => response,
    }
}

/// Removes the body of a response to HEAD, and keeps its length: not every server removes it in HTTP/2, where clients
/// treat it as an error ([RFC 9110, 9.3.2](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2)).
fn without_body(response: Response<ProxyBody>, client: Version) -> Response<ProxyBody> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = ResponseBody::<UpstreamBody>::proxy(body).size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    Response::from_parts(parts, ProxyBody::Upstream(BoxBody::new(UpstreamBody::absent(client))))
}

fn plain(error: &Error) -> Response<Full<bytes::Bytes>> {
    let status = error.status();
    let mut response = Response::new(Full::from(format!("{status}: {}\n", error.public_text())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// Returns true if the connection must end when this request is refused: bytes behind a CONNECT may be meant for
/// the tunnel, and must not be parsed as a request
/// ([RFC 9931, 8](https://www.rfc-editor.org/rfc/rfc9931#section-8)).
pub(crate) fn ends_connection(method: &Method, version: Version) -> bool {
    *method == Method::CONNECT && version < Version::HTTP_2
}

/// Adds `Connection: close` to a response that refuses the request.
pub(crate) fn close_refused<B>(response: &mut Response<B>) {
    let closes = tokens::contains(response.headers(), CONNECTION, "close");
    if !response.status().is_success() && !closes {
        response.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Converts the upstream's response to an upgrade that it did not accept to the client's version of HTTP.
///
/// # Errors
///
/// If the response would mean a tunnel to the client, if its framing is not valid, or if the announced size of
/// the body exceeds its limit.
pub(crate) fn relay(
    handshake: &Handshake,
    upstream: &Upstream,
    response: Response<()>,
    body: BoxBody,
    limits: BodyLimits,
    permit: Permit,
) -> Result<Response<ProxyBody>, Error> {
    if handshake.mechanism == Mechanism::ExtendedConnect && response.status().is_success() {
        // To this client, any 2xx would mean a tunnel.
        return Err(Error::at(Kind::Response("it is a 2xx that accepts no upgrade"), upstream));
    }
    let (mut parts, ()) = response.into_parts();
    framing::normalize(&mut parts, &body).map_err(|reason| Error::at(Kind::Response(reason), upstream))?;
    let trailers = hop_by_hop::strip_response(parts.status, &mut parts.headers);
    // It was the version of the upstream's connection.
    parts.version = handshake.mechanism.version();
    let body = match framing::is_bodiless(&Method::GET, parts.status) && body.is_end_stream() {
        true => BoxBody::new(UpstreamBody::absent(parts.version)),
        false => BoxBody::new(FilteredTrailers::new(body, trailers)),
    };
    if handshake.mechanism == Mechanism::ExtendedConnect {
        parts.headers.remove(CONNECTION);
        parts.headers.remove(UPGRADE);
    }
    let body = refusal::limit(body, limits, permit)
        .map_err(|TooLarge| Error::at(Kind::Response("the body is too large"), upstream))?;
    Ok(Response::from_parts(parts, ProxyBody::Upstream(body)))
}
