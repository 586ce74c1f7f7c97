//! The handshake as the upstream gets it, in HTTP/1.1.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::ext;

use super::{Asked, Handshake, is_websocket, verify::Expected};
use crate::{Error, Upstream, config::Config, connect::Outgoing, error::Kind, rewrite::rewrite};

/// The request for `upstream`, and what its answer will be checked against.
///
/// An extended CONNECT becomes the GET it stands for, with a key of our own
/// ([RFC 8441, 5](https://www.rfc-editor.org/rfc/rfc8441#section-5)).
pub(crate) fn encode(
    config: &Config,
    handshake: &Handshake,
    parts: Parts,
    body: Outgoing,
    upstream: &Upstream,
) -> Result<(Request<Outgoing>, Expected), Error> {
    let key = match handshake.asked {
        Asked::ExtendedConnect => Some(nonce(upstream)?),
        Asked::Upgrade => None,
    };
    let mut parts = rewrite(config, parts, upstream, |parts| {
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
    let expected = Expected::of(handshake, &parts.headers);
    debug_assert_ne!(parts.method, Method::CONNECT);
    Ok((Request::from_parts(parts, body), expected))
}

/// 16 random bytes ([RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1), item 7).
fn nonce(upstream: &Upstream) -> Result<HeaderValue, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|cause| Error::caused(Kind::Exchange, upstream, cause))?;
    let key = HeaderValue::try_from(STANDARD.encode(bytes));
    key.map_err(|cause| Error::caused(Kind::Exchange, upstream, cause))
}
