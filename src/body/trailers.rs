//! [`TrailerRules`]: the trailer fields that are passed on.
//!
//! A recipient may merge trailers into the head, so what is removed from a head is removed from the trailers too: the fields
//! of the connection, those that `Connection` names, and those that the proxy or the application sets. A field that is
//! needed before the content has no place there either
//! ([RFC 9110, 6.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1)). Other fields pass, such as `grpc-status` or a
//! checksum.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};

use crate::fields::{HOP_BY_HOP, dashed, is_plain, remove_if};

/// Fields that no trailers may have, beside those of the connection.
const FORBIDDEN: [&str; 30] = [
    // Framing and routing.
    "content-length",
    "host",
    "forwarded",
    "via",
    "x-real-ip",
    // Modifiers of a request.
    "cache-control",
    "expect",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    // Authentication.
    "authorization",
    "cookie",
    "set-cookie",
    "www-authenticate",
    // Controls of a response.
    "age",
    "date",
    "expires",
    "location",
    "retry-after",
    "vary",
    "warning",
    // Format of the content.
    "content-encoding",
    "content-range",
    "content-type",
];

/// Starts of the names of further such fields.
const FORBIDDEN_STARTS: [&str; 2] = ["x-forwarded-", "sec-websocket-"];

/// Rules for the trailers of one message, in addition to the fields that no trailers may have.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrailerRules {
    removed: Vec<HeaderName>,
    names: Names,
}

/// Names of fields that are passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Names {
    /// Names of letters, digits and dashes.
    Plain,
    #[default]
    All,
}

impl TrailerRules {
    /// Removes `removed` and their aliases.
    pub(crate) fn new(removed: Vec<HeaderName>, names: Names) -> Self {
        Self { removed, names }
    }

    /// Adds other rules.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.removed.extend(other.removed);
        if other.names == Names::Plain {
            self.names = Names::Plain;
        }
        self
    }

    /// Returns a function that returns true for a field that trailers must not have.
    ///
    /// A head may name thousands of fields in `Connection`, and as many in `Trailer`: they are sorted once, so that the time
    /// for both is not the product of their numbers.
    pub(crate) fn matcher(&self) -> impl Fn(&HeaderName) -> bool + '_ {
        let mut removed: Vec<&HeaderName> = self.removed.iter().collect();
        removed.sort_unstable_by(|one, other| dashed(one).cmp(dashed(other)));
        move |name| {
            let plain: String = dashed(name).map(char::from).collect();
            FORBIDDEN.contains(&&*plain)
                || FORBIDDEN_STARTS.iter().any(|start| plain.starts_with(start))
                || HOP_BY_HOP.iter().any(|field| field.as_str() == plain)
                || removed.binary_search_by(|removed| dashed(removed).cmp(plain.bytes())).is_ok()
                || self.names == Names::Plain && !is_plain(name)
        }
    }

    /// Returns a frame without these fields. `None` if it has no others.
    pub(crate) fn filter(&self, mut frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let Some(trailers) = frame.trailers_mut() else { return Some(frame) };
        remove_if(trailers, self.matcher());
        Some(frame)
            .filter(|frame| frame.trailers_ref().is_none_or(|trailers: &HeaderMap| !trailers.is_empty()))
    }
}

/// A body whose trailers have been filtered.
#[derive(Debug)]
pub(crate) struct FilteredTrailers<B> {
    body: B,
    rules: TrailerRules,
}

impl<B> FilteredTrailers<B> {
    pub(crate) fn new(body: B, rules: TrailerRules) -> Self {
        Self { body, rules }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for FilteredTrailers<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Poll::Ready(match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => self.rules.filter(frame).map(Ok),
            end => end,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::HeaderValue;
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn trailers(names: &[&str]) -> Frame<Bytes> {
        let name = |name: &&str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        let fields = names.iter().map(|text| (name(text), HeaderValue::from_static("1")));
        Frame::trailers(fields.collect())
    }

    fn left(rules: &TrailerRules, names: &[&str]) -> Vec<String> {
        let frame = rules.filter(trailers(names));
        let mut names: Vec<_> = frame
            .iter()
            .flat_map(|frame| frame.trailers_ref().unwrap().keys())
            .map(ToString::to_string)
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn fields_of_the_head_are_removed_in_any_spelling() {
        let removed = [
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Transfer_Encoding",
            "Upgrade",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "HTTP2-Settings",
            "Content-Length",
            "Host",
            "Forwarded",
            "Via",
            "X-Real-IP",
            "X_Real_IP",
            "X.Real-IP",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "X-Forwarded-Prefix",
            "X_Forwarded_For",
            "X-Forwarded-Port",
            "Authorization",
            "Cookie",
            "Set-Cookie",
            "WWW-Authenticate",
            "Range",
            "If-None-Match",
            "Expect",
            "Cache-Control",
            "Location",
            "Content-Type",
            "Content-Encoding",
            "Content-Range",
            "Sec-WebSocket-Key",
            "Sec_WebSocket_Accept",
        ];
        let passed = [
            "authentication-info",
            "digest",
            "etag",
            "grpc-message",
            "grpc-status",
            "grpc-status-details-bin",
            "server-timing",
            "x-checksum",
            "x-forwarded",
            "x_checksum",
        ];
        let rules = TrailerRules::default();
        assert_eq!(left(&rules, &[&removed[..], &passed].concat()), passed);
        for name in removed {
            assert!(left(&rules, &[name]).is_empty(), "{name}");
        }
    }

    #[test]
    fn named_and_unusual_fields_are_removed_by_rules() {
        let named = TrailerRules::new(vec![HeaderName::from_static("x-user")], Names::All);
        let names = ["x-user", "x_user", "x.id", "x-id"];
        assert_eq!(left(&named, &names), ["x-id", "x.id"]);
        let plain = TrailerRules::new(Vec::new(), Names::Plain);
        assert_eq!(left(&plain, &names), ["x-id", "x-user"]);
        for both in [named.clone().and(plain.clone()), plain.and(named)] {
            assert_eq!(left(&both, &names), ["x-id"]);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes too long")]
    fn many_named_fields_are_found_in_any_order_and_spelling() {
        const COUNT: usize = 20_000;
        let name = |text: String| HeaderName::from_bytes(text.as_bytes()).unwrap();
        let names: Vec<_> = (0..COUNT).rev().map(|number| name(format!("x-{number}"))).collect();
        let start = Instant::now();
        let rules = TrailerRules::new([names.clone(), names].concat(), Names::All);
        let removes = rules.matcher();
        for number in 0..COUNT {
            assert!(removes(&name(format!("x_{number}"))) && removes(&name(format!("X-{number}"))));
            assert!(!removes(&name(format!("y-{number}"))));
        }
        // Less than a second in a debug build, and more than a minute if each name is compared with each.
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[tokio::test]
    async fn a_body_ends_without_trailers_if_all_are_removed() {
        let body = |names: &[&str]| {
            let frame = trailers(names);
            let fields = frame.into_trailers().unwrap();
            let body = Full::new(Bytes::from_static(b"data")).with_trailers(async { Some(Ok(fields)) });
            FilteredTrailers::new(Box::pin(body), TrailerRules::default())
        };
        let collected = body(&["x-real-ip"]).collect().await.unwrap();
        assert!(collected.trailers().is_none());
        assert_eq!(collected.to_bytes(), "data");
        let collected = body(&["x-real-ip", "grpc-status"]).collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap().len(), 1);
    }
}
