//! Parser for the origin of a web page.

use std::{error::Error as StdError, fmt, str::FromStr};

use crate::authority;

/// Origin of a web page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    Null,
    /// In lower case, without the default port of the scheme.
    Tuple {
        scheme: String,
        host: String,
        port: Option<u16>,
    },
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "null" {
            return Ok(Self::Null);
        }
        let lower = text.to_ascii_lowercase();
        let invalid = |reason| InvalidOrigin { text: text.to_owned(), reason };
        let (scheme, host) = lower.split_once("://").ok_or_else(|| invalid("it has no scheme"))?;
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return Err(invalid("its scheme is not valid"));
        }
        if host.contains(['/', '?', '#']) {
            return Err(invalid("an origin has no path, not even `/`"));
        }
        if host.contains('*') {
            return Err(invalid("wildcards are not supported, use a predicate"));
        }
        let host = authority::parse(host.as_bytes()).ok_or_else(|| invalid("its host is not valid"))?;
        let port = explicit_port(scheme, host.port);
        Ok(Self::Tuple { scheme: scheme.to_owned(), host: host.host.to_owned(), port })
    }
}

/// Returns the port, unless it is the default of the scheme.
pub(super) fn explicit_port(scheme: &str, port: Option<u16>) -> Option<u16> {
    let default = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    port.filter(|port| Some(*port) != default)
}

/// Error: a text that is not an origin ([RFC 6454, 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an origin like \"https://app.example\": {}", self.text, self.reason)
    }
}

impl StdError for InvalidOrigin {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_origins_are_rejected_with_a_reason() {
        let table = [
            ("app.example", "no scheme"),
            ("https://app.example/", "no path"),
            ("https://", "host is not valid"),
            ("https://a b", "host is not valid"),
            ("https://user@a", "host is not valid"),
            ("https://a:80x", "host is not valid"),
            ("https://[zz]", "host is not valid"),
            ("https://*.app.example", "wildcards"),
            ("ht tp://a", "scheme is not valid"),
            ("*", "no scheme"),
            ("", "no scheme"),
        ];
        for (text, reason) in table {
            let error = text.parse::<Origin>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
