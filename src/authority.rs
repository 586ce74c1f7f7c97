//! Syntax of `host[:port]`, the form of `Host`, of `:authority` and of the authority of a request target.
//!
//! The `http` crate's `Authority` allows more: user information, ports that are not numbers, and any
//! characters between brackets. It also allows less, as it rejects percent-encoded octets in a host.

use std::net::Ipv6Addr;

/// The parts of `host[:port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostPort<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) host: &'a str,
    /// None if there is no port, or if it is empty.
    pub(crate) port: Option<u16>,
}

/// Parses `uri-host [ ":" port ]`
/// ([RFC 9110, 7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2)).
///
/// The host must not be empty ([RFC 9110, 4.2.1](https://www.rfc-editor.org/rfc/rfc9110#section-4.2.1)), user
/// information is not allowed ([4.2.4](https://www.rfc-editor.org/rfc/rfc9110#section-4.2.4)), and the port is a
/// number up to 65535, or empty. A host is one of three forms
/// ([RFC 3986, 3.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2)):
///
/// - a registered name or an IPv4 address: letters, digits, `-._~`, `!$&'()*+,;=` and percent-encoded octets;
/// - an IPv6 address in brackets, without a zone, which has no meaning on another machine;
/// - a future kind of address in brackets, `[v1.x]`.
pub(crate) fn parse(text: &[u8]) -> Option<HostPort<'_>> {
    let text = str::from_utf8(text).ok()?;
    let (host, after) = match text.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']').filter(|end| is_address(&rest[..*end]))?;
            text.split_at(end + "[]".len())
        }
        None => {
            let parts = text.split_at(text.find(':').unwrap_or(text.len()));
            Some(parts).filter(|(host, _)| is_registered_name(host))?
        }
    };
    match after.strip_prefix(':') {
        None if !after.is_empty() => None,
        None | Some("") => Some(HostPort { host, port: None }),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(HostPort { host, port: Some(port.parse().ok()?) })
        }
        Some(_) => None,
    }
}

/// Returns true if `text` is valid between the brackets of a host.
fn is_address(text: &str) -> bool {
    let is_future = || {
        let (version, address) = text.strip_prefix(['v', 'V'])?.split_once('.')?;
        let is_valid = |byte| is_name_byte(byte) || byte == b':';
        Some(
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_hexdigit())
                && !address.is_empty()
                && address.bytes().all(is_valid),
        )
    };
    text.parse::<Ipv6Addr>().is_ok() || is_future().unwrap_or(false)
}

/// Returns true if `name` is a registered name, and not empty. IPv4 addresses have the form of a name.
fn is_registered_name(name: &str) -> bool {
    let mut encoded = name.split('%');
    let is_plain = |text: &str| text.bytes().all(is_name_byte);
    !name.is_empty()
        && encoded.next().is_some_and(is_plain)
        && encoded.all(|text| {
            let (octet, rest) = text.split_at_checked(2).unwrap_or_default();
            !octet.is_empty() && octet.bytes().all(|byte| byte.is_ascii_hexdigit()) && is_plain(rest)
        })
}

/// Returns true for the unreserved characters and the sub-delimiters
/// ([RFC 3986, 2](https://www.rfc-editor.org/rfc/rfc3986#section-2.2)).
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_parsed_as_in_rfc_3986() {
        let table = [
            ("a.example", "a.example", None),
            ("A.example:8080", "A.example", Some(8080)),
            ("a:", "a", None),
            ("a:0080", "a", Some(80)),
            ("a:65535", "a", Some(65535)),
            ("192.0.2.1:0", "192.0.2.1", Some(0)),
            ("[::1]", "[::1]", None),
            ("[::ffff:192.0.2.1]:9", "[::ffff:192.0.2.1]", Some(9)),
            ("[v1.a:b]:80", "[v1.a:b]", Some(80)),
            ("a_b.~c", "a_b.~c", None),
            ("a!$&'()*+,;=b:1", "a!$&'()*+,;=b", Some(1)),
            ("%2Fvar%2frun", "%2Fvar%2frun", None),
            ("%00:80", "%00", Some(80)),
        ];
        for (text, host, port) in table {
            assert_eq!(parse(text.as_bytes()), Some(HostPort { host, port }), "{text}");
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        let table = [
            "",
            ":80",
            "u@a",
            "u:p@a",
            "@a",
            "a b",
            " a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a\"b",
            "a<b>",
            "a^b",
            "a|b",
            "a{b}",
            "a`b",
            "a\0",
            "caf\u{e9}",
            "a:80x",
            "a:x",
            "a:+80",
            "a:-1",
            "a: 80",
            "a:65536",
            "a:99999",
            "a:80:80",
            "::1",
            "[",
            "[]",
            "[zz]",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]x:80",
            "[::1]:x",
            "[::1][::1]",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[v.a]",
            "[vg.a]",
            "[v1.]",
            "[v1]",
            "[v1.a%20]",
            "a[b]",
            "a[b]:80",
            "%zz",
            "%2",
            "%",
            "a%",
            "%2%46",
            "%+1",
            "%2\u{e9}",
        ];
        for text in table {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"a\xff"), None);
    }
}
