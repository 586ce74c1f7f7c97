//! Comma-separated lists of tokens, over all lines of a field.

use http::{HeaderMap, HeaderName};

/// Returns the elements of the list field `name`, in order and trimmed.
///
/// Values are bytes: an element that is not a token is returned unchanged and never compares equal to a
/// token. Empty elements are skipped
/// ([RFC 9110, 5.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1)).
pub(crate) fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Returns true if the list field `name` contains `token`, in any case.
pub(crate) fn contains(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::CONNECTION};

    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (CONNECTION, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    #[test]
    fn tokens_match_on_any_line_in_any_case_and_never_as_a_substring() {
        let table: [(&[&[u8]], bool); 9] = [
            (&[b"upgrade"], true),
            (&[b"keep-alive,uPGRADE"], true),
            (&[b"keep-alive", b" ,\t Upgrade ,"], true),
            (&[b"", b"upgrade"], true),
            (&[b"upgraded"], false),
            (&[b"no-upgrade"], false),
            (&[b"up grade"], false),
            (&[b"\"upgrade\""], false),
            (&[b"\xff\xfe,keep-alive"], false),
        ];
        for (lines, found) in table {
            assert_eq!(contains(&headers(lines), CONNECTION, "upgrade"), found, "{lines:?}");
        }
    }
}
