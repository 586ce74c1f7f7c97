//! The handshake as the upstream gets it.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};
use http_body::Body;
use http_body_util::{Either, Empty};
use hyper::ext;

use super::{Handshake, Mechanism, is_websocket, verify::ExpectedResponse};
use crate::{
    body::Outgoing, error::Error, error::Kind, rewrite::Rewrite, rewrite::http2, rewrite::rewrite,
    upstream::Upstream,
};

/// The request for `upstream` in HTTP/1.1, and what its answer will be checked against.
///
/// An extended CONNECT becomes the GET it stands for, with a key of our own
/// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
pub(crate) fn encode(
    rules: &Rewrite,
    handshake: &Handshake,
    parts: Parts,
    body: Outgoing,
    upstream: &Upstream,
) -> Result<(Request<Outgoing>, ExpectedResponse), Error> {
    let key = match handshake.mechanism {
        Mechanism::ExtendedConnect => Some(websocket_key(upstream)?),
        Mechanism::Upgrade => None,
    };
    let mut parts = rewrite(rules, parts, upstream, |parts| {
        if let Some(key) = key {
            parts.method = Method::GET;
            parts.extensions.remove::<ext::Protocol>();
            parts.headers.remove(SEC_WEBSOCKET_KEY);
            if is_websocket(handshake.protocol.as_bytes()) {
                parts.headers.insert(SEC_WEBSOCKET_KEY, key);
            }
        }
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        parts.headers.insert(UPGRADE, handshake.protocol.clone());
        if !handshake.body {
            parts.headers.remove(CONTENT_LENGTH);
        }
    })?;
    let target = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.version = Version::HTTP_11;
    let expected = ExpectedResponse::new(handshake, &parts.headers);
    debug_assert_ne!(parts.method, Method::CONNECT);
    Ok((Request::from_parts(parts, body), expected))
}

/// Whether the request of [`encode`] can be asked in HTTP/2: CONNECT stands for GET, and has no body.
pub(crate) fn fits_http2(request: &Request<Outgoing>) -> bool {
    *request.method() == Method::GET && request.body().is_end_stream()
}

/// The head of [`encode`] in HTTP/2: an extended CONNECT, which needs no key
/// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
///
/// # Errors
///
/// When `Host`, as the layer was told to send it, is no authority.
pub(crate) fn extended_connect(
    head: &Parts,
    protocol: &HeaderValue,
    upstream: &Upstream,
) -> Result<Request<Outgoing>, Error> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = Method::CONNECT;
    parts.uri = head.uri.clone();
    parts.headers = head.headers.clone();
    parts.headers.remove(SEC_WEBSOCKET_KEY);
    http2::convert(&mut parts, upstream)?;
    parts.extensions.insert(h2::ext::Protocol::from(protocol.to_str().unwrap_or_default()));
    Ok(Request::from_parts(parts, Either::Left(Empty::new())))
}

/// 16 random bytes ([RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1), item 7).
fn websocket_key(upstream: &Upstream) -> Result<HeaderValue, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|cause| Error::caused(Kind::Exchange, upstream, cause))?;
    let key = HeaderValue::try_from(STANDARD.encode(bytes));
    key.map_err(|cause| Error::caused(Kind::Exchange, upstream, cause))
}
