//! Check of an ordinary request, and its conversion for the upstream.

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING},
    request::Parts,
};
use http_body_util::Either;
use hyper::ext::Protocol;

use crate::{
    body::Outgoing,
    error::{Error, Kind},
    handshake::detect,
    rewrite::{Rewrite, filter_trailers, rewrite, tokens},
    upstream::Upstream,
};

/// Refuses a request that cannot be forwarded.
///
/// A request needs one valid `Host`, unless it is in HTTP/1.0, or in HTTP/2 with an `:authority`
/// ([RFC 9112, 3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)). The authority of its target must be valid
/// too. It must not have a transfer coding that hyper does not decode. `CONNECT` is refused.
pub(super) fn check(parts: &Parts) -> Result<(), Error> {
    if parts.method == Method::CONNECT {
        // [RFC 9220, 3](https://www.rfc-editor.org/rfc/rfc9220#section-3).
        let extended = parts.extensions.get::<Protocol>().is_some();
        return Err(Error::new(if extended { Kind::Protocol } else { Kind::Method }));
    }
    let authority = detect::check_authority(&parts.uri);
    let optional = parts.version < Version::HTTP_11
        || parts.version > Version::HTTP_11 && parts.uri.authority().is_some();
    let host = match optional && !parts.headers.contains_key(HOST) {
        true => Ok(()),
        false => detect::check_host(&parts.headers),
    };
    authority
        .and(host)
        .and_then(|()| detect::check_coding(&parts.headers))
        .map_err(|reason| Error::new(Kind::Request(reason)))
}

/// Returns the request for `upstream`, in HTTP/1.1.
pub(super) fn encode(
    rules: &Rewrite,
    parts: Parts,
    body: Outgoing,
    upstream: &Upstream,
) -> Result<Request<Outgoing>, Error> {
    let trailers = Trailers::of(&parts.headers);
    let (mut parts, trailer_rules) = rewrite(rules, parts, upstream, |parts| {
        trailers.restore(&mut parts.headers);
        // The server in front responds to it when the body is read.
        parts.headers.remove(EXPECT);
    })?;
    // A request in HTTP/1.0 may have none.
    if !parts.headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(upstream.authority())
    {
        parts.headers.insert(HOST, host);
    }
    // Without it, hyper drops a body of unknown length if the method seldom has one.
    if !matches!(body, Either::Left(_)) && !parts.headers.contains_key(CONTENT_LENGTH) {
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    parts.uri = origin_form(&parts.uri);
    parts.version = Version::HTTP_11;
    let body = filter_trailers(&mut parts.headers, body, trailer_rules);
    Ok(Request::from_parts(parts, body))
}

/// Returns the target of a request to an origin server
/// ([RFC 9112, 3.2.1](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.1)).
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}

/// The fields that negotiate trailers. `Connection` names them, but trailers are end-to-end
/// ([RFC 9110, 6.5](https://www.rfc-editor.org/rfc/rfc9110#section-6.5)): without these fields, HTTP/1.1 could not
/// send any. `TE` has to be named again ([10.1.4](https://www.rfc-editor.org/rfc/rfc9110#section-10.1.4)).
struct Trailers {
    accepted: bool,
    announced: Vec<HeaderValue>,
}

impl Trailers {
    fn of(headers: &HeaderMap) -> Self {
        let announced = headers.get_all(TRAILER).iter().cloned().collect();
        Self { accepted: tokens::contains(headers, TE, "trailers"), announced }
    }

    fn restore(self, headers: &mut HeaderMap) {
        if self.accepted {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("TE"));
        }
        headers.extend(self.announced.into_iter().map(|value| (TRAILER, value)));
    }
}
