//! Property: the sticky cookie is read and removed, and all other cookies stay.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::pool::Sticky;

const NAME: &str = "up";

/// Input: the lines of the `Cookie` field.
pub fn check(input: &[u8]) {
    let lines: Vec<_> =
        input.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let mut headers = HeaderMap::new();
    for line in &lines {
        headers.append(COOKIE, line.clone());
    }
    let value = Sticky::cookie(NAME).unwrap().take(&mut headers);
    let left: Vec<_> = headers.get_all(COOKIE).iter().cloned().collect();

    let cookies: Vec<_> = lines.iter().flat_map(cookies).collect();
    let (ours, others): (Vec<_>, Vec<_>) = cookies.into_iter().partition(|cookie| text(cookie).is_some());
    if ours.is_empty() {
        assert_eq!((value, left), (None, lines));
        return;
    }
    assert_eq!(value, ours.iter().filter_map(|cookie| number(&text(cookie)?)).next());
    assert_eq!(left.iter().flat_map(self::cookies).collect::<Vec<_>>(), others);
    assert!(left.len() <= lines.len());
}

/// The cookies of a line, without white space around them.
fn cookies(line: &HeaderValue) -> Vec<Vec<u8>> {
    let cookies = line.as_bytes().split(|byte| *byte == b';').map(|cookie| cookie.trim_ascii().to_vec());
    cookies.filter(|cookie| !cookie.is_empty()).collect()
}

/// The text of a cookie, if it is ours.
fn text(cookie: &[u8]) -> Option<Vec<u8>> {
    let equals = cookie.iter().position(|byte| *byte == b'=')?;
    (cookie[..equals].trim_ascii_end() == NAME.as_bytes()).then(|| cookie[equals + 1..].trim_ascii().to_vec())
}

/// The number that a text encodes: eleven digits, of which the last one has four bits.
fn number(text: &[u8]) -> Option<u64> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = text.iter().map(|digit| DIGITS.iter().position(|other| other == digit));
    let digits: Vec<u64> = digits.map(|digit| digit.map(|digit| digit as u64)).collect::<Option<_>>()?;
    let (last, others) = digits.split_last()?;
    if others.len() != 10 || last % 4 != 0 {
        return None;
    }
    let number = others.iter().fold(0, |number, digit| number << 6 | digit) << 4 | last >> 2;
    assert_eq!(URL_SAFE_NO_PAD.encode(number.to_be_bytes()).as_bytes(), text, "the reference");
    Some(number)
}
