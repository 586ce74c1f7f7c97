//! Parsers for the hops in one field line, the last one first.
//!
//! The client may have forged the start of a line; proxies append to its end. Lines are therefore read from
//! the end, and no text at the start changes the addresses found before it. This includes quotes: read from
//! the start, an element with an open quote (`for="`) would swallow the elements that proxies appended, and any
//! client could choose its address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One hop: the report of one proxy about the peer from which it received the request.
pub(super) struct Hop {
    /// `None` for an entry that is not an address.
    pub(super) address: Option<IpAddr>,
    /// Scheme of the connection. `None` if it is not reported, or none of [`scheme`]'s.
    pub(super) scheme: Option<&'static str>,
}

/// Returns the hops of a line of `X-Forwarded-For`.
pub(super) fn x_forwarded_for(line: &[u8]) -> impl Iterator<Item = Hop> {
    line.rsplit(|byte| *byte == b',').map(|entry| Hop { address: node(entry), scheme: None })
}

/// Returns the hops of a line of `Forwarded`: the parameters `for` and `proto` of its elements
/// ([RFC 7239, 4](https://www.rfc-editor.org/rfc/rfc7239#section-4)).
pub(super) fn forwarded(line: &[u8]) -> impl Iterator<Item = Hop> {
    SplitUnquoted { rest: Some(line), delimiter: b',' }.map(|element| Hop {
        address: parameter(element, b"for=").and_then(node),
        scheme: parameter(element, b"proto=").and_then(scheme),
    })
}

/// Returns the scheme named by `text`, in lower case: `http` or `https`, or `ws` or `wss`, which some proxies send for a
/// WebSocket. `None` for any other text.
pub(in crate::rewrite::forwarded) fn scheme(text: &[u8]) -> Option<&'static str> {
    ["http", "https", "ws", "wss"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Returns true for a list of prefixes of a path. A server may put them in front of the target of a redirect or link, where
/// one that starts with two slashes, or with a backslash as the second character, would name a host.
pub(in crate::rewrite::forwarded) fn is_prefix(text: &[u8]) -> bool {
    let is_path_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+;=:@".contains(byte);
    text.split(|byte| *byte == b',').all(|prefix| match prefix.trim_ascii() {
        [b'/', b'/', ..] => false,
        prefix => prefix.starts_with(b"/") && prefix.iter().all(is_path_byte),
    })
}

/// Returns the value of the parameter that starts with `name`, without quotes. A repeated parameter is not valid.
fn parameter<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut values = SplitUnquoted { rest: Some(element), delimiter: b';' }.filter_map(|pair| {
        let (start, value) = pair.trim_ascii().split_at_checked(name.len())?;
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        start.eq_ignore_ascii_case(name).then_some(value)
    });
    values.next().filter(|_| values.next().is_none())
}

/// Parses an address with an optional port. An IPv6 address with a port must be in brackets
/// ([RFC 7239, 6](https://www.rfc-editor.org/rfc/rfc7239#section-6)).
pub(in crate::rewrite::forwarded) fn node(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (ip, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (ip, port) = text.split_once(']')?;
            (IpAddr::from(ip.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (ip, port) = text.split_at_checked(text.find(':')?)?;
            (IpAddr::from(ip.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    is_port(port).then(|| ip.to_canonical())
}

/// Returns true if `text` is empty, or a colon and a number or obfuscated name.
fn is_port(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(allowed);
    text.is_empty() || text.strip_prefix(':').is_some_and(is_name)
}

/// Iterator over the parts between delimiters outside quoted strings, the last part first.
struct SplitUnquoted<'a> {
    rest: Option<&'a [u8]>,
    delimiter: u8,
}

impl<'a> Iterator for SplitUnquoted<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        for (at, byte) in rest.iter().enumerate().rev() {
            if *byte == b'"' && !ends_in_escape(&rest[..at]) {
                quoted = !quoted;
            } else if *byte == self.delimiter && !quoted {
                self.rest = Some(&rest[..at]);
                return Some(&rest[at + 1..]);
            }
        }
        self.rest = None;
        Some(rest)
    }
}

/// Returns true if `text` ends in a backslash that escapes the next character and is not escaped itself.
fn ends_in_escape(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}
