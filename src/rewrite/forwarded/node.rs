//! Node identifiers and parameter values of RFC 7239.

use std::{error::Error as StdError, fmt, net::IpAddr};

use http::HeaderName;

/// Returns an address as the value of `for`: IPv6 addresses in brackets and quotes
/// ([RFC 7239, 6](https://www.rfc-editor.org/rfc/rfc7239#section-6)).
pub(super) fn for_value(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("\"[{ip}]\""),
    }
}

/// Returns a parameter value: a token unchanged, other text as a quoted string
/// ([RFC 9110, 5.6.4](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.4)).
pub(super) fn parameter_value(text: &str) -> String {
    if check_token(text).is_ok() {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

pub(super) fn check_token(text: &str) -> Result<(), InvalidIdentifier> {
    // Field names are tokens.
    HeaderName::from_bytes(text.as_bytes()).map(|_| ()).map_err(|_| InvalidIdentifier(text.to_owned()))
}

pub(super) fn check_obfuscated(text: &str) -> Result<(), InvalidIdentifier> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match text.strip_prefix('_') {
        Some(rest) if !rest.is_empty() && rest.bytes().all(allowed) => Ok(()),
        _ => Err(InvalidIdentifier(text.to_owned())),
    }
}

/// Error: a name that is not valid in `Forwarded` or `Via`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidIdentifier(String);

impl fmt::Display for InvalidIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identifier {:?}: not valid here", self.0)
    }
}

impl StdError for InvalidIdentifier {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_values_are_quoted_by_rfc_7239() {
        assert_eq!(for_value("192.0.2.60".parse().unwrap()), "192.0.2.60");
        assert_eq!(for_value("::ffff:192.0.2.60".parse().unwrap()), "192.0.2.60");
        assert_eq!(for_value("2001:db8:cafe::17".parse().unwrap()), "\"[2001:db8:cafe::17]\"");
        assert_eq!(parameter_value("example.com"), "example.com");
        assert_eq!(parameter_value("example.com:80"), "\"example.com:80\"");
        assert_eq!(parameter_value("a\"b\\c"), r#""a\"b\\c""#);
    }

    #[test]
    fn obfuscated_identifiers_start_with_an_underscore() {
        for good in ["_gateway", "_SEVKISEK", "_a.b-c_1"] {
            assert!(check_obfuscated(good).is_ok(), "{good}");
        }
        for bad in ["", "_", "gateway", "_a b", "_\u{e9}", "_a;proto=x"] {
            assert!(check_obfuscated(bad).is_err(), "{bad}");
        }
    }
}
