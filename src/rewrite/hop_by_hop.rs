//! Removal of hop-by-hop fields, which are valid for one connection only
//! ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1)).

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
        TRAILER, UPGRADE,
    },
};

use super::tokens::tokens;
use crate::{
    body::trailers::{Names, TrailerRules},
    fields::HOP_BY_HOP,
};

/// Fields kept even if `Connection` names them. Without them the message would have a different meaning
/// (no host, different framing) or would not be a handshake.
const PROTECTED: [HeaderName; 5] =
    [HOST, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION];

/// Returns true if the field describes the connection or the length of the body, which the proxy determines itself.
pub(super) fn is_of_connection(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || *name == CONTENT_LENGTH
}

/// Removes the hop-by-hop fields and every field named by a `Connection` line. Returns the rules for the trailers, which must
/// not have the latter either.
pub(crate) fn strip_request(headers: &mut HeaderMap) -> TrailerRules {
    let nominated = nominated(headers);
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    TrailerRules::new(nominated, Names::All)
}

/// Returns the names of the fields that `Connection` nominates beyond the fixed list.
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, CONNECTION)
        .filter(|token| !is_connection_option(token))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !PROTECTED.contains(name) && !HOP_BY_HOP.contains(name))
        .collect()
}

/// Returns the names of the fields that `Connection` nominates beyond the fixed list. Only the connection options and the
/// names of the fixed list are left in `Connection`.
pub(crate) fn take_nominated(headers: &mut HeaderMap) -> Vec<HeaderName> {
    let nominated = nominated(headers);
    let is_kept = |token: &&[u8]| {
        let is_hop_by_hop = |name: &HeaderName| token.eq_ignore_ascii_case(name.as_str().as_bytes());
        is_connection_option(token) || HOP_BY_HOP.iter().any(is_hop_by_hop)
    };
    let kept: Vec<&[u8]> = tokens(headers, CONNECTION).filter(is_kept).collect();
    match HeaderValue::from_bytes(&kept.join(&b", "[..])) {
        Ok(options) if !options.is_empty() => headers.insert(CONNECTION, options),
        _ => headers.remove(CONNECTION),
    };
    nominated
}

/// Removes the hop-by-hop fields of a response. A 426 keeps `Upgrade`, which it requires
/// ([RFC 9110, 15.5.22](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.22)), and gets the matching
/// `Connection` token. Returns the rules for the trailers.
pub(crate) fn strip_response(status: StatusCode, headers: &mut HeaderMap) -> TrailerRules {
    let mut offered = Vec::new();
    if status == StatusCode::UPGRADE_REQUIRED {
        offered.extend(headers.get_all(UPGRADE).iter().cloned());
    }
    let trailers = strip_request(headers);
    if !offered.is_empty() {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.extend(offered.into_iter().map(|value| (UPGRADE, value)));
    }
    trailers
}

/// Removes the hop-by-hop fields of a response to an ordinary request, and returns the rules for the trailers. `Trailer` is
/// kept: trailers are passed on, and HTTP/1.1 can send only announced ones.
pub(crate) fn strip_forwarded_response(status: StatusCode, headers: &mut HeaderMap) -> TrailerRules {
    let announced: Vec<_> = headers.get_all(TRAILER).iter().cloned().collect();
    let trailers = strip_response(status, headers);
    headers.extend(announced.into_iter().map(|value| (TRAILER, value)));
    filter_announced(headers, &trailers);
    trailers
}

/// Removes from `Trailer` the names of the fields that are removed from the trailers.
pub(crate) fn filter_announced(headers: &mut HeaderMap, rules: &TrailerRules) {
    if !headers.contains_key(TRAILER) {
        return;
    }
    let removes = rules.matcher();
    let passes = |token: &&[u8]| HeaderName::from_bytes(token).is_ok_and(|name| !removes(&name));
    let names: Vec<&[u8]> = tokens(headers, TRAILER).filter(passes).collect();
    match HeaderValue::from_bytes(&names.join(&b", "[..])) {
        Ok(line) if !line.is_empty() => headers.insert(TRAILER, line),
        _ => headers.remove(TRAILER),
    };
}

/// Returns true if the token is a connection option that names no field beyond the fixed list.
fn is_connection_option(token: &[u8]) -> bool {
    [&b"upgrade"[..], b"keep-alive", b"close"].iter().any(|option| token.eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
            })
            .collect()
    }

    #[test]
    fn fixed_and_nominated_fields_are_removed_and_the_rest_keeps_its_order() {
        let mut headers = map(&[
            ("connection", ""),
            ("connection", "Upgrade, X-Secret"),
            ("connection", "x-other , \u{e9}, x-absent"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("x-other", "3"),
            ("upgrade", "websocket"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic x"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("x-kept", "4"),
        ]);
        strip_request(&mut headers);
        assert_eq!(headers, map(&[("cookie", "a=1"), ("cookie", "b=2"), ("x-kept", "4")]));
    }

    #[test]
    fn nominated_host_framing_and_key_fields_are_kept() {
        let kept = [("host", "a"), ("content-length", "3"), ("sec-websocket-key", "k")];
        let mut headers = map(&kept);
        headers.append(
            CONNECTION,
            HeaderValue::from_static("Host, Content-Length, Sec-WebSocket-Key, Transfer-Encoding"),
        );
        strip_request(&mut headers);
        assert_eq!(headers, map(&kept));
    }

    #[test]
    fn only_a_426_keeps_its_upgrade_field() {
        let lines = [("connection", "upgrade, close"), ("upgrade", "websocket"), ("x", "1")];
        let mut refused = map(&lines);
        strip_response(StatusCode::UPGRADE_REQUIRED, &mut refused);
        assert_eq!(refused, map(&[("x", "1"), ("connection", "Upgrade"), ("upgrade", "websocket")]));
        let mut ok = map(&lines);
        strip_response(StatusCode::OK, &mut ok);
        assert_eq!(ok, map(&[("x", "1")]));
    }
}
