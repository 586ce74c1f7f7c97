//! The addresses in a line, the last one first. `None` is something else than an address.
//!
//! What stands on the left may be the client's own making; what the proxies have appended stands on
//! the right. So lines are read from their ends, and nothing on the left changes what is found before.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Of `X-Forwarded-For`.
pub(super) fn x_forwarded_for(line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    line.rsplit(|byte| *byte == b',').map(node)
}

/// Of `Forwarded`: the `for` of each element
/// ([RFC 7239, 4](https://www.rfc-editor.org/rfc/rfc7239#section-4)).
pub(super) fn forwarded(line: &[u8]) -> impl Iterator<Item = Option<IpAddr>> {
    SplitUnquoted { rest: Some(line), delimiter: b',' }.map(|element| {
        let mut nodes = SplitUnquoted { rest: Some(element), delimiter: b';' }.filter_map(for_parameter);
        // No parameter may occur twice.
        nodes.next().filter(|_| nodes.next().is_none()).and_then(node)
    })
}

/// The value of a parameter called `for`.
fn for_parameter(pair: &[u8]) -> Option<&[u8]> {
    let (name, value) = pair.trim_ascii().split_at_checked(4)?;
    let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    name.eq_ignore_ascii_case(b"for=").then_some(value)
}

/// An address, with or without a port; IPv6 in brackets when it has one, else with or without them
/// ([RFC 7239, 6](https://www.rfc-editor.org/rfc/rfc7239#section-6)).
fn node(text: &[u8]) -> Option<IpAddr> {
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

/// Nothing, or a colon and a number or an obfuscated name.
fn is_port(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(allowed);
    text.is_empty() || text.strip_prefix(':').is_some_and(is_name)
}

/// The pieces between delimiters that are in no quoted string, the last one first.
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

/// Whether the next character is quoted by a backslash, which is not quoted itself.
fn ends_in_escape(text: &[u8]) -> bool {
    text.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}
