//! A head as HTTP/2 has it.

use http::{
    HeaderValue, Uri, Version,
    header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{error::Error, error::Kind, upstream::Upstream};

/// Turns the head of a request in HTTP/1.1, rewritten for `upstream`, into one in HTTP/2: `Host` is
/// the authority, and a connection has no fields
/// ([RFC 9113, 8.2.2](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.2) and
/// [8.3.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1)).
///
/// # Errors
///
/// When `Host`, as the layer was told to send it, is no authority.
pub(crate) fn convert(parts: &mut Parts, upstream: &Upstream) -> Result<(), Error> {
    let host = parts.headers.remove(HOST);
    let host = host.as_ref().map_or(upstream.authority().as_bytes(), HeaderValue::as_bytes);
    let authority = Authority::try_from(host)
        .map_err(|_| Error::at(Kind::Request("Host is not an authority"), upstream))?;
    for gone in [CONNECTION, UPGRADE, TRANSFER_ENCODING] {
        parts.headers.remove(gone);
    }
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(if upstream.is_https() { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(authority);
    uri.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    // All three parts are there, so they make a URI.
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
    parts.version = Version::HTTP_2;
    Ok(())
}
