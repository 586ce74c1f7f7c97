//! Parsers for inputs in lines of text.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Splits off the first line.
pub(super) fn first_line(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// Returns the first words of a line, empty where a word is missing or not UTF-8.
pub(super) fn words<const N: usize>(line: &[u8]) -> [&str; N] {
    let mut words = line.split(|byte| *byte == b' ').map(|word| str::from_utf8(word).unwrap_or_default());
    [(); N].map(|()| words.next().unwrap_or_default())
}

/// Parses lines `name: value` up to an empty line. Invalid lines are skipped. Also returns the rest.
pub(super) fn head(mut text: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    while !text.is_empty() {
        let (line, rest) = first_line(text);
        text = rest;
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        // Parsers of HTTP trim the value.
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.try_append(name, value).unwrap();
        }
    }
    (headers, text)
}

/// Returns the elements of a list field: all lines are one list, and empty elements are skipped.
pub(super) fn elements(headers: &HeaderMap, name: &str) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let mut elements = vec![Vec::new()];
    for byte in lines.join(&b","[..]) {
        match byte {
            b',' => elements.push(Vec::new()),
            byte => elements.last_mut().unwrap().push(byte),
        }
    }
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    for element in &mut elements {
        while element.last().is_some_and(blank) {
            element.pop();
        }
        while element.first().is_some_and(blank) {
            element.remove(0);
        }
    }
    elements.retain(|element| !element.is_empty());
    elements
}

/// Returns true if the text is a token
/// ([RFC 9110, 5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)).
pub(super) fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}
