//! Property: exactly the valid upgrade requests become handshakes.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use hyper::{ext, upgrade::OnUpgrade};

use super::input::{elements, first_line, head, is_token, words};
use crate::handshake::{Mechanism, Protocol, Protocols, detect::detect};

/// An allowed protocol.
struct Rule {
    name: String,
    methods: Vec<Method>,
    body: bool,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    NotAnUpgrade,
    Malformed,
    Upgrade { mechanism: Mechanism, protocol: String, body: bool },
}

/// Input: a line with the method, the target, the version, the allowed protocols (`websocket`, `any`, `some`,
/// or one by name), the `:protocol` of HTTP/2, and `stuck` if the connection cannot be upgraded; then the
/// fields.
pub fn check(input: &[u8]) {
    let (line, text) = first_line(input);
    let [method, target, version, list, protocol, stuck] = words(line);
    let (protocols, rules) = allowed(list);
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), target.parse::<Uri>()) else { return };
    let version = match version {
        "HTTP/1.0" => Version::HTTP_10,
        "HTTP/2" => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.version_mut()) = (method, uri, version);
    *request.headers_mut() = head(text).0;
    if !matches!(protocol, "" | "-") {
        request.extensions_mut().insert(ext::Protocol::from(protocol));
    }
    let upgradable = stuck != "stuck";
    if upgradable {
        request.extensions_mut().insert(hyper::upgrade::on(Request::new(())));
    }

    let before = head_of(&request);
    let outcome = match detect(&mut request, &protocols) {
        Err(error) => {
            assert!(error.is_bad_handshake());
            Outcome::Malformed
        }
        Ok(None) => Outcome::NotAnUpgrade,
        Ok(Some(handshake)) => Outcome::Upgrade {
            mechanism: handshake.mechanism,
            protocol: handshake.protocol.to_str().unwrap().to_owned(),
            body: handshake.body,
        },
    };
    assert_eq!(before, head_of(&request), "the head is unchanged");
    let is_upgrade = matches!(outcome, Outcome::Upgrade { .. });
    assert_eq!(request.extensions().get::<OnUpgrade>().is_some(), upgradable && !is_upgrade);
    let expected = expected(&request, list, &rules, upgradable);
    assert_eq!(outcome, expected);
}

/// Returns the head of a request without its extensions.
fn head_of(request: &Request<()>) -> (Method, Uri, Version, HeaderMap) {
    (request.method().clone(), request.uri().clone(), request.version(), request.headers().clone())
}

/// Returns the named allow-list and its rules.
fn allowed(list: &str) -> (Protocols, Vec<Rule>) {
    let rule = |name: &str, methods: &[Method], body| Rule {
        name: name.to_owned(),
        methods: methods.to_vec(),
        body,
    };
    let websocket = rule("websocket", &[Method::GET], false);
    match list {
        "websocket" => (Protocols::websocket(), vec![websocket]),
        "any" => (Protocols::any(), vec![websocket]),
        "some" => {
            let tcp = Protocol::new("tcp").unwrap().methods([Method::POST, Method::PUT]).with_request_body();
            let spdy = Protocol::new("SPDY/3.1").unwrap();
            let rules =
                [websocket, rule("tcp", &[Method::POST, Method::PUT], true), rule("SPDY/3.1", &[], false)];
            (Protocols::websocket().allow(tcp).allow(spdy), rules.into())
        }
        name => {
            let protocol = Protocol::new(name);
            assert_eq!(protocol.is_ok(), is_protocol(name), "{name:?}");
            match protocol {
                Ok(protocol) if name.eq_ignore_ascii_case("websocket") => {
                    (Protocols::only(protocol), vec![websocket])
                }
                Ok(protocol) => (Protocols::only(protocol), vec![rule(name, &[], false)]),
                Err(_) => (Protocols::websocket(), vec![websocket]),
            }
        }
    }
}

/// Returns true if the name is a valid protocol: a token with an optional version, and not HTTP.
fn is_protocol(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let is_http = ["h2c", "h2", "h3", "http"].contains(&parts[0].to_ascii_lowercase().as_str());
    parts.len() <= 2 && parts.iter().all(|part| is_token(part)) && !is_http
}

/// Returns the name and body rule of the protocol named by a token, if it is allowed with the method.
fn find(token: &[u8], list: &str, rules: &[Rule], method: &Method) -> Option<(String, bool)> {
    let token = str::from_utf8(token).ok()?;
    if *method == Method::CONNECT {
        return None;
    }
    match rules.iter().find(|rule| rule.name.eq_ignore_ascii_case(token)) {
        Some(rule) if rule.methods.is_empty() || rule.methods.contains(method) => {
            Some((rule.name.clone(), rule.body))
        }
        None if list == "any" && is_protocol(token) => Some((token.to_owned(), true)),
        _ => None,
    }
}

/// Returns the outcome required by the RFCs.
fn expected(request: &Request<()>, list: &str, rules: &[Rule], upgradable: bool) -> Outcome {
    let headers = request.headers();
    if !upgradable {
        return Outcome::NotAnUpgrade;
    }
    if let Some(protocol) = extended(request) {
        let Some((protocol, _)) = find(protocol.as_ref(), list, rules, &Method::GET) else {
            return Outcome::NotAnUpgrade;
        };
        return match has_host(request) {
            true => Outcome::Upgrade { mechanism: Mechanism::ExtendedConnect, protocol, body: false },
            false => Outcome::Malformed,
        };
    }
    let upgrade = |element: &Vec<u8>| element.eq_ignore_ascii_case(b"upgrade");
    if request.version() != Version::HTTP_11 || !elements(headers, "connection").iter().any(upgrade) {
        return Outcome::NotAnUpgrade;
    }
    let requested = elements(headers, "upgrade");
    let Some((protocol, body)) =
        requested.iter().find_map(|token| find(token, list, rules, request.method()))
    else {
        return Outcome::NotAnUpgrade;
    };
    let codings = elements(headers, "transfer-encoding");
    let chunked = codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked");
    let has_body = headers.contains_key("transfer-encoding")
        || headers.get_all("content-length").iter().any(|length| length != "0");
    let valid = has_host(request)
        && (codings.is_empty() || chunked)
        && (body || !has_body)
        && (protocol != "websocket" || has_key(headers));
    if valid {
        Outcome::Upgrade { mechanism: Mechanism::Upgrade, protocol, body }
    } else {
        Outcome::Malformed
    }
}

/// Returns the `:protocol` of an extended CONNECT.
fn extended(request: &Request<()>) -> Option<&ext::Protocol> {
    let connect = *request.method() == Method::CONNECT && request.version() == Version::HTTP_2;
    request.extensions().get().filter(|_| connect)
}

/// Returns true if the hosts of the request are valid: exactly one `Host`, for an upgrade, and the authority of the
/// target, which an extended CONNECT must have.
fn has_host(request: &Request<()>) -> bool {
    let authority = request.uri().authority().map(|authority| is_host(authority.as_str().as_bytes()));
    if extended(request).is_some() {
        return authority == Some(true);
    }
    let lines: Vec<&[u8]> = request.headers().get_all("host").iter().map(HeaderValue::as_bytes).collect();
    matches!(lines.as_slice(), [host] if is_host(host)) && authority != Some(false)
}

/// Returns true if `text` is a host with an optional port, by the grammar of RFC 3986.
pub(super) fn is_host(text: &[u8]) -> bool {
    let mut port = Vec::new();
    let mut host = text.to_vec();
    while host.last().is_some_and(u8::is_ascii_digit) {
        port.insert(0, host.pop().unwrap());
    }
    if host.pop_if(|last| *last == b':').is_none() {
        host = text.to_vec();
        port.clear();
    }
    let port = port
        .iter()
        .fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte);
    let is_host = match host.as_slice() {
        [b'[', address @ .., b']'] => {
            let future = address.iter().position(|byte| *byte == b'.').map(|dot| address.split_at(dot));
            let is_future = future.is_some_and(|(version, address)| {
                matches!(version, [b'v' | b'V', digits @ ..]
                    if !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit))
                    && address.len() > 1
                    && address.iter().all(|byte| is_plain(byte) || *byte == b':')
            });
            is_future || str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
        }
        name => {
            let mut at = 0;
            while at < name.len() {
                at += match &name[at..] {
                    [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => 3,
                    [byte, ..] if is_plain(byte) => 1,
                    _ => return false,
                };
            }
            !name.is_empty()
        }
    };
    is_host && port <= 65535
}

/// Returns true if there is exactly one key, of 16 bytes in base64: 21 digits, one with two bits of the 16th
/// byte, and padding.
fn has_key(headers: &HeaderMap) -> bool {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let lines: Vec<&[u8]> = headers.get_all("sec-websocket-key").iter().map(HeaderValue::as_bytes).collect();
    let [key] = lines.as_slice() else { return false };
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(|digit| DIGITS.contains(digit))
}
