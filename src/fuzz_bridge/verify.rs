//! Property: exactly the valid responses of an upstream accept a handshake.

use http::{HeaderMap, HeaderValue, Request, Version};

use super::{
    hop_by_hop::end_to_end,
    input::{elements, first_line, head, words},
};
use crate::handshake::{
    Handshake, Mechanism,
    verify::{ExpectedResponse, accept_value},
};

/// Input: a line with the protocol and the HTTP version, the fields of the request, an empty line, and the
/// fields of the response, in which `$` is replaced by the valid accept value.
pub fn check(input: &[u8]) {
    let (line, text) = first_line(input);
    let [protocol, version] = words(line);
    let Ok(name) = HeaderValue::from_str(protocol) else { return };
    let version = if version == "HTTP/2" { Version::HTTP_2 } else { Version::HTTP_11 };
    let (sent, text) = head(text);
    let (mut response, _) = head(text);
    let accept_value =
        HeaderValue::try_from(accept_value(sent.get("sec-websocket-key").map_or(b"", HeaderValue::as_bytes)));
    let accept_value = accept_value.unwrap();
    for value in response.values_mut().filter(|value| *value == "$") {
        *value = accept_value.clone();
    }

    let handshake = Handshake {
        mechanism: Mechanism::Upgrade,
        protocol: name,
        on_upgrade: hyper::upgrade::on(Request::new(())),
        body: false,
    };
    let mut verified = response.clone();
    let result = ExpectedResponse::new(&handshake, &sent).verify(version, &mut verified);
    assert_eq!(result.is_ok(), is_valid(protocol, version, &sent, &response, &accept_value), "{result:?}");
    if result.is_ok() {
        check_verified(protocol, version, &response, &verified, &accept_value);
    }
}

fn is_valid(
    protocol: &str,
    version: Version,
    sent: &HeaderMap,
    response: &HeaderMap,
    accept_value: &HeaderValue,
) -> bool {
    let is_websocket = protocol.eq_ignore_ascii_case("websocket");
    let all = |name| response.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    let chosen = all("sec-websocket-protocol");
    let offered = elements(sent, "sec-websocket-protocol");
    let subprotocol = match chosen.as_slice() {
        [] => true,
        [chosen] => offered.iter().any(|offer| offer == chosen),
        _ => false,
    };
    let accepts =
        matches!(all("sec-websocket-accept").as_slice(), [accept] if accept.trim_ascii() == accept_value);
    let upgrades = elements(response, "upgrade");
    let upgrade = upgrades.len() == 1 && upgrades[0].eq_ignore_ascii_case(protocol.as_bytes());
    match (version, is_websocket) {
        (Version::HTTP_2, true) => subprotocol,
        (Version::HTTP_2, false) => true,
        (_, true) => upgrade && accepts && subprotocol,
        (_, false) => upgrade,
    }
}

/// Checks the verified response: the received one without hop-by-hop and framing fields, with the valid
/// accept value.
fn check_verified(
    protocol: &str,
    version: Version,
    response: &HeaderMap,
    verified: &HeaderMap,
    accept_value: &HeaderValue,
) {
    let mut expected = end_to_end(response);
    expected.remove("content-length");
    if protocol.eq_ignore_ascii_case("websocket") {
        assert!(verified.get_all("sec-websocket-protocol").iter().count() <= 1);
        let accepts: Vec<_> = verified.get_all("sec-websocket-accept").iter().collect();
        match version {
            Version::HTTP_2 => {
                assert_eq!(accepts, [accept_value]);
                expected.insert("sec-websocket-accept", accept_value.clone());
            }
            _ => assert!(
                matches!(accepts.as_slice(), [accept] if accept.as_bytes().trim_ascii() == accept_value)
            ),
        }
    }
    assert_eq!(*verified, expected);
    for name in
        ["connection", "upgrade", "transfer-encoding", "content-length", "keep-alive", "proxy-authenticate"]
    {
        assert!(!verified.contains_key(name), "{name}");
    }
}
