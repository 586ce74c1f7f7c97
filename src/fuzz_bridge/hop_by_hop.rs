//! Property: hop-by-hop fields are removed, all others kept.

use http::{HeaderMap, StatusCode};

use super::input::{elements, first_line, head, words};
use crate::rewrite::hop_by_hop;

const HOP_BY_HOP: &str = "connection proxy-connection keep-alive te trailer transfer-encoding upgrade \
                          proxy-authenticate proxy-authorization http2-settings";

/// Kept even if `Connection` names them.
const PROTECTED: &str = "host content-length sec-websocket-accept sec-websocket-key sec-websocket-version upgrade keep-alive close";

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
    hop_by_hop::strip_forwarded_response(status, &mut forwarded);
    copy(&before, &mut expected, "trailer");
    assert_eq!(forwarded, expected);
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, name: &'static str) {
    for value in from.get_all(name) {
        to.append(name, value.clone());
    }
}

/// Returns the end-to-end fields of a head.
pub(super) fn end_to_end(before: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = elements(before, "connection")
        .iter()
        .map(|element| String::from_utf8_lossy(element).to_ascii_lowercase())
        .filter(|name| !PROTECTED.split(' ').any(|kept| kept == name))
        .collect();
    let is_removed = |name: &str| {
        HOP_BY_HOP.split_whitespace().chain(named.iter().map(String::as_str)).any(|removed| removed == name)
    };
    let kept = before.iter().filter(|(name, _)| !is_removed(name.as_str()));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}
