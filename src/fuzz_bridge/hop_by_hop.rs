//! Property: hop-by-hop fields are removed, all others kept.

use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Frame;

use super::input::{elements, first_line, head, is_token, words};
use crate::rewrite::hop_by_hop;

const HOP_BY_HOP: &str = "connection proxy-connection keep-alive te trailer transfer-encoding upgrade \
                          proxy-authenticate proxy-authorization http2-settings";

/// Kept even if `Connection` names them.
const PROTECTED: &str = "host content-length sec-websocket-accept sec-websocket-key sec-websocket-version upgrade keep-alive close";

/// Names that trailers must not have, in addition to those that start with `X-Forwarded-` or `Sec-WebSocket-`.
const NO_TRAILERS: &str = "content-length host forwarded via x-real-ip cache-control expect max-forwards origin pragma \
                           range if-match if-modified-since if-none-match if-range if-unmodified-since \
                           authorization cookie set-cookie www-authenticate age date expires location retry-after \
                           vary warning content-encoding content-range content-type";

/// Input: a line with the status of the response, then the fields of request and response.
pub fn check(input: &[u8]) {
    let (line, text) = first_line(input);
    let [status] = words(line);
    let status = StatusCode::from_bytes(status.as_bytes()).unwrap_or_default();
    let (before, _) = head(text);
    let end_to_end = end_to_end(&before);

    let mut request = before.clone();
    hop_by_hop::strip_request(&mut request);
    assert_eq!(request, end_to_end);

    let mut response = before.clone();
    hop_by_hop::strip_response(status, &mut response);
    let mut expected = end_to_end;
    if status == 426 && before.contains_key("upgrade") {
        expected.append("connection", "Upgrade".parse().unwrap());
        copy(&before, &mut expected, "upgrade");
    }
    assert_eq!(response, expected);

    let mut forwarded = before.clone();
    let rules = hop_by_hop::strip_forwarded_response(status, &mut forwarded);
    let announced = elements(&before, "trailer").into_iter().filter(|name| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        is_token(&name) && is_trailer(&name, &before)
    });
    let announced = announced.collect::<Vec<_>>().join(&b", "[..]);
    if !announced.is_empty() {
        expected.append("trailer", HeaderValue::from_bytes(&announced).unwrap());
    }
    assert_eq!(forwarded, expected);

    // The same fields as trailers.
    let mut trailers = before.clone();
    for name in before.keys().filter(|name| !is_trailer(name.as_str(), &before)) {
        trailers.remove(name);
    }
    let left = rules.filter(Frame::trailers(before.clone()));
    assert_eq!(left.map(|frame| frame.into_trailers().unwrap()).unwrap_or_default(), trailers);
}

/// Returns true if trailers may have a field, in a message with this head.
fn is_trailer(name: &str, head: &HeaderMap) -> bool {
    let dashed = |name: &str| name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let starts = ["x-forwarded-", "sec-websocket-"];
    let name = dashed(name);
    let is_removed = |removed: &str| removed == name;
    !HOP_BY_HOP.split_whitespace().chain(NO_TRAILERS.split_whitespace()).any(is_removed)
        && !named(head).iter().any(|named| is_removed(&dashed(named)))
        && !starts.iter().any(|start| name.starts_with(start))
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, name: &'static str) {
    for value in from.get_all(name) {
        to.append(name, value.clone());
    }
}

/// Returns the names in `Connection` that are removed from a head.
fn named(head: &HeaderMap) -> Vec<String> {
    let names = elements(head, "connection").into_iter();
    let names = names.map(|name| String::from_utf8_lossy(&name).to_ascii_lowercase());
    names.filter(|name| is_token(name) && !PROTECTED.split(' ').any(|kept| kept == name)).collect()
}

/// Returns the end-to-end fields of a head.
pub(super) fn end_to_end(before: &HeaderMap) -> HeaderMap {
    let named = named(before);
    let is_removed = |name: &str| {
        HOP_BY_HOP.split_whitespace().chain(named.iter().map(String::as_str)).any(|removed| removed == name)
    };
    let kept = before.iter().filter(|(name, _)| !is_removed(name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
