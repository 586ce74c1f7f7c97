//! Conversion of the client's request head into that of the upstream request.
//!
//! The order is a security property and is the same for every request:
//!
//! 1. [`hop_by_hop`]: the fields of the client's connection are removed, so that a `Connection: X-Real-IP`
//!    cannot remove a field added by a later step. The `Cookie` lines of an HTTP/2 request are joined.
//! 2. The fields of the handshake (`Connection`, `Upgrade`) are set by the encoder.
//! 3. [`forwarded`], [`host`] and [`path`]: the policies of the layer are applied.
//! 4. The fields of the application's `authorize` hook ([`field_changes`]) are set.
//! 5. The application's [`RequestHook`] is called with the complete head.
//!
//! # One rewrite for two kinds of requests
//!
//! The encoder of upgrades and the leaf service `Forward` both call [`rewrite`]. They differ in one closure,
//! which runs between the steps 1 and 3: it sets the fields of the upgrade, or those of trailers. Trailers
//! are end-to-end ([RFC 9110, 6.5](https://www.rfc-editor.org/rfc/rfc9110#section-6.5)), so ordinary requests
//! keep `TE: trailers` and `Trailer`, without which HTTP/1.1 could not send any; a handshake loses both.
//!
//! # Responses
//!
//! [`framing`] reduces the framing fields of every response, and refuses a response that cannot be passed on
//! with an unambiguous length. After that, [`hop_by_hop`] removes the fields of the upstream's connection.
//!
//! # Trailers
//!
//! The trailers of requests and responses lose what is removed from heads ([`TrailerRules`]), and so do the announcements in
//! `Trailer`.

mod dot_segments;
pub(crate) mod field_changes;
pub(crate) mod forwarded;
pub(crate) mod framing;
pub(crate) mod hop_by_hop;
pub(crate) mod host;
pub(crate) mod http2;
pub(crate) mod path;
pub(crate) mod tokens;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Version, header::COOKIE, request::Parts};
use http_body_util::Either;

use crate::{
    body::{
        BoxBody, Outgoing,
        trailers::{FilteredTrailers, Names, TrailerRules},
    },
    error::Error,
    upstream::Upstream,
};
use field_changes::FieldChanges;
use forwarded::Forwarded;
use host::Host;
use path::PathRewrite;

/// Hook of the application: gets the inbound head, and may change the outbound one.
pub(crate) type RequestHook = Arc<dyn Fn(&Parts, &mut Parts) + Send + Sync>;

/// Rules by which a request head is rewritten.
#[derive(Clone, Default)]
pub(crate) struct Rewrite {
    pub(crate) host: Host,
    pub(crate) forwarded: Forwarded,
    pub(crate) path: PathRewrite,
    pub(crate) on_request: Option<RequestHook>,
}

/// Converts the client's `parts` into the head for `upstream`.
///
/// Also returns the rules for its trailers.
///
/// `set_fields` runs after the removal of hop-by-hop fields and before the policies. It sets the fields that
/// depend on the kind of request: those of the upgrade, or those of trailers.
///
/// # Errors
///
/// Those of [`PathRewrite::apply`].
pub(crate) fn rewrite(
    rules: &Rewrite,
    mut parts: Parts,
    upstream: &Upstream,
    set_fields: impl FnOnce(&mut Parts),
) -> Result<(Parts, TrailerRules), Error> {
    let changes = parts.extensions.remove::<FieldChanges>().unwrap_or_default();
    let inbound = rules.on_request.as_ref().map(|hook| (hook, parts.clone()));
    let trailers = hop_by_hop::strip_request(&mut parts.headers)
        .and(parts.extensions.remove().unwrap_or_default())
        .and(TrailerRules::new(changes.names().cloned().collect(), Names::All));
    join_cookies(&mut parts);
    set_fields(&mut parts);
    rules.forwarded.apply(&mut parts, |parts| rules.path.stripped_prefix(parts));
    rules.host.apply(&mut parts, upstream);
    parts.uri = rules.path.apply(&parts, upstream)?.into();
    changes.apply(&mut parts.headers);
    if let Some((hook, inbound)) = inbound {
        hook(&inbound, &mut parts);
    }
    Ok((parts, trailers))
}

/// Returns the body of a request with its trailers filtered. They must not have a field of the head either, which could
/// imitate one that the proxy, the application or middleware in front has set.
pub(crate) fn filter_trailers(headers: &mut HeaderMap, body: Outgoing, rules: TrailerRules) -> Outgoing {
    let Either::Right(body) = body else {
        hop_by_hop::filter_announced(headers, &rules);
        return body;
    };
    let rules = rules.and(TrailerRules::new(headers.keys().cloned().collect(), Names::All));
    hop_by_hop::filter_announced(headers, &rules);
    Either::Right(BoxBody::new(FilteredTrailers::new(body, rules)))
}

/// Joins the `Cookie` lines of an HTTP/2 request, which may split the field, into one line for HTTP/1.1
/// ([RFC 9113, 8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3)).
fn join_cookies(parts: &mut Parts) {
    if parts.version < Version::HTTP_2 {
        return;
    }
    let lines: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        parts.headers.insert(COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn cookie_lines_are_joined_only_for_http_2() {
        for (version, expected) in
            [(Version::HTTP_2, &["a=1; b=\u{e9}"][..]), (Version::HTTP_11, &["a=1", "b=\u{e9}"])]
        {
            let request = Request::get("/").version(version).header(COOKIE, "a=1").header(COOKIE, "b=\u{e9}");
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            join_cookies(&mut parts);
            let cookies: Vec<_> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
            assert_eq!(cookies, expected.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        }
    }
}
