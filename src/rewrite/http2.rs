//! Conversion of a request head to HTTP/2.

use http::{
    HeaderValue, Uri, Version,
    header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{
    authority,
    error::{Error, Kind},
    upstream::Upstream,
};

/// Converts a rewritten HTTP/1.1 request head into one in HTTP/2: `Host` becomes the authority, and
/// connection-specific fields are removed
/// ([RFC 9113, 8.2.2](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2) and
/// [8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)).
///
/// # Errors
///
/// If the configured `Host` is not an authority, or that of the client has percent-encoded octets.
pub(crate) fn convert(parts: &mut Parts, upstream: &Upstream) -> Result<(), Error> {
    let host = parts.headers.remove(HOST);
    let host = host.as_ref().map_or(upstream.authority().as_bytes(), HeaderValue::as_bytes);
    // The syntax of the `http` crate alone would let user information pass.
    let authority = authority::parse(host).and_then(|_| Authority::try_from(host).ok());
    let authority =
        authority.ok_or_else(|| Error::at(Kind::Request("Host is not an authority"), upstream))?;
    for name in [CONNECTION, UPGRADE, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(if upstream.is_https() { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(authority);
    uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    // A URI with all three parts is valid.
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
    parts.version = Version::HTTP_2;
    Ok(())
}
