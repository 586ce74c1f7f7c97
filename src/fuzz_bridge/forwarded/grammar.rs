//! Reference parser for `Forwarded`, from left to right.

use std::net::IpAddr;

use super::super::input::is_token;

/// Parses an address with an optional port.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let is_port = |port: &str| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let bare = match text.rsplit_once(':') {
        Some((ip, port)) if is_port(port) && (ip.ends_with(']') || !ip.contains(':')) => ip,
        _ => text,
    };
    let ip: IpAddr = match bare.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
        Some(ip) => IpAddr::V6(ip.parse().ok()?),
        None => bare.parse().ok()?,
    };
    Some(ip.to_canonical())
}

pub(super) type Element = Vec<(String, Vec<u8>)>;

/// Parses `Forwarded` by its grammar ([RFC 7239, 4](https://www.rfc-editor.org/rfc/rfc7239#section-4)): names
/// in lower case, values without quotes. `None` for text that does not follow the grammar.
pub(super) fn parse(text: &[u8]) -> Option<Vec<Element>> {
    let mut elements = vec![Element::new()];
    let mut rest = text;
    loop {
        while let [b' ' | b'\t', more @ ..] = rest {
            rest = more;
        }
        let end = rest.iter().position(|byte| b"=,;\" \t".contains(byte)).unwrap_or(rest.len());
        let name = str::from_utf8(&rest[..end]).ok()?.to_ascii_lowercase();
        rest = &rest[end..];
        if let Some(value) = rest.strip_prefix(b"=") {
            let (value, more) = parse_value(value)?;
            if !is_token(&name) {
                return None;
            }
            elements.last_mut()?.push((name, value));
            rest = more;
        } else if !name.is_empty() {
            return None;
        }
        while let [b' ' | b'\t', more @ ..] = rest {
            rest = more;
        }
        match rest {
            [] => return Some(elements),
            [b',', more @ ..] => {
                elements.push(Element::new());
                rest = more;
            }
            [b';', more @ ..] => rest = more,
            _ => return None,
        }
    }
}

/// Parses a token or a quoted string, keeping its escapes. Also returns the rest.
fn parse_value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| b",; \t".contains(byte)).unwrap_or(text.len());
        let token = str::from_utf8(&text[..end]).ok()?;
        return is_token(token).then(|| (token.into(), &text[end..]));
    };
    let mut at = 0;
    loop {
        match quoted.get(at)? {
            b'"' => return Some((quoted[..at].to_vec(), &quoted[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
