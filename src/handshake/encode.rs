//! The handshake as the upstream gets it, in HTTP/1.1.

use http::{
    HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, UPGRADE},
    request::Parts,
    uri::PathAndQuery,
};

use super::{Handshake, verify::Expected};
use crate::{Error, Upstream, config::Config, connect::Outgoing, rewrite::rewrite};

/// The request for `upstream`, and what its answer will be checked against.
pub(crate) fn encode(
    config: &Config,
    handshake: &Handshake,
    parts: Parts,
    body: Outgoing,
    upstream: &Upstream,
) -> Result<(Request<Outgoing>, Expected), Error> {
    let mut parts = rewrite(config, parts, upstream, |parts| {
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
