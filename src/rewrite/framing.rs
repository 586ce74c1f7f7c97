//! Framing of responses: the fields that delimit the body
//! ([RFC 9112, 6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3)).
//!
//! hyper and h2 have delimited the upstream's body by the fields of its head, and the server will delimit the
//! client's by the fields that it gets. Both must find the same end. What one of them ignores or reads in
//! another way is therefore removed, or refused.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    response::Parts,
};
use http_body::Body;

/// Reduces the framing fields of an upstream's response to at most one valid `Content-Length`, which is the
/// length of `body`, or in a response to HEAD and in a 304 the length that a 200 to GET would have
/// ([RFC 9110, 8.6](https://www.rfc-editor.org/rfc/rfc9110#section-8.6)).
///
/// - A response with `Transfer-Encoding: chunked` is delimited by its chunks: `Content-Length` is removed.
/// - Repeated or listed values of `Content-Length` become one if they are equal.
/// - A 101 or a 204 has no framing fields.
///
/// # Errors
///
/// If a length is invalid or differs from another, or if a body has another transfer coding than `chunked`,
/// which hyper does not decode, or more than one.
pub(crate) fn normalize(parts: &mut Parts, body: &impl Body) -> Result<(), &'static str> {
    let headers = &mut parts.headers;
    if parts.status.is_informational() || parts.status == StatusCode::NO_CONTENT {
        remove(headers);
        return Ok(());
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        let is_supported = body.is_end_stream() || is_chunked(headers);
        remove(headers);
        return if is_supported { Ok(()) } else { Err("its transfer coding is not supported") };
    }
    if let Some(length) = content_length(headers)? {
        headers.insert(CONTENT_LENGTH, length);
    }
    Ok(())
}

/// Returns true if a response has no body, whatever its fields are.
pub(crate) fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Removes the framing fields.
pub(crate) fn remove(headers: &mut HeaderMap) {
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_LENGTH);
}

/// Returns true if `chunked` is the only transfer coding, on one line and not in a list: hyper reads an empty last
/// element as another coding.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

/// Returns the value of all elements of `Content-Length`, if there are any.
fn content_length(headers: &HeaderMap) -> Result<Option<HeaderValue>, &'static str> {
    let mut length = None;
    let lines = headers.get_all(CONTENT_LENGTH).iter();
    for element in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
        let value = digits(element.trim_ascii()).ok_or("its Content-Length is not valid")?;
        if length.replace(value).is_some_and(|other| other != value) {
            return Err("it has different values of Content-Length");
        }
    }
    Ok(length.map(HeaderValue::from))
}

/// Returns the number in decimal digits, without a sign.
fn digits(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;
    use http_body_util::{Empty, Full};

    use super::*;

    /// Returns the framing fields that are left of `lines`, or the reason for which they are refused.
    fn normalized(
        status: u16,
        lines: &[(&str, &str)],
        body: &impl Body,
    ) -> Result<Vec<String>, &'static str> {
        let mut response = Response::builder().status(status);
        for (name, value) in lines {
            response = response.header(*name, *value);
        }
        let mut parts = response.body(()).unwrap().into_parts().0;
        normalize(&mut parts, body)?;
        let fields = parts.headers.iter();
        Ok(fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect())
    }

    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";

    #[test]
    fn one_valid_length_is_left() {
        let body = Full::new(Bytes::from("hello world"));
        let valid: [&[(&str, &str)]; 7] = [
            &[(LENGTH, "11")],
            &[(LENGTH, "11"), (LENGTH, "11")],
            &[(LENGTH, "11, 11")],
            &[(LENGTH, "11 ,\t11"), (LENGTH, "11")],
            &[(LENGTH, "011")],
            &[(LENGTH, "11"), (LENGTH, "011")],
            &[(LENGTH, " 11 ")],
        ];
        for lines in valid {
            assert_eq!(normalized(200, lines, &body).unwrap(), ["content-length: 11"], "{lines:?}");
        }
        let invalid: [&[(&str, &str)]; 10] = [
            &[(LENGTH, "11"), (LENGTH, "12")],
            &[(LENGTH, "11, 12")],
            &[(LENGTH, "11,")],
            &[(LENGTH, "")],
            &[(LENGTH, "+11")],
            &[(LENGTH, "-1")],
            &[(LENGTH, "0x11")],
            &[(LENGTH, "1 1")],
            &[(LENGTH, "11;")],
            &[(LENGTH, "18446744073709551616")],
        ];
        for lines in invalid {
            assert!(normalized(200, lines, &body).is_err(), "{lines:?}");
        }
        assert!(normalized(200, &[], &body).unwrap().is_empty());
    }

    #[test]
    fn chunks_take_precedence_over_a_length_and_no_other_coding_is_supported() {
        let body = Full::new(Bytes::from("hello world"));
        let chunked: [&[(&str, &str)]; 3] = [
            &[(CODING, "chunked")],
            &[(LENGTH, "3"), (CODING, " Chunked ")],
            &[(CODING, "CHUNKED"), (LENGTH, "x"), (LENGTH, "1")],
        ];
        for lines in chunked {
            assert!(normalized(200, lines, &body).unwrap().is_empty(), "{lines:?}");
        }
        let unsupported: [&[(&str, &str)]; 9] = [
            &[(CODING, "gzip, chunked")],
            &[(CODING, "gzip"), (CODING, "chunked")],
            &[(CODING, "chunked, chunked")],
            &[(CODING, "chunked"), (CODING, "chunked")],
            &[(CODING, "chunked,")],
            &[(CODING, "chunked;q=1")],
            &[(CODING, "identity")],
            &[(CODING, ""), (LENGTH, "11")],
            &[(CODING, "xchunked")],
        ];
        for lines in unsupported {
            assert!(normalized(200, lines, &body).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn a_response_without_a_body_keeps_only_a_length() {
        let body = Empty::<Bytes>::new();
        let (length, coded) = ((LENGTH, "300"), (CODING, "gzip, chunked"));
        assert_eq!(normalized(304, &[length], &body).unwrap(), ["content-length: 300"]);
        assert!(normalized(304, &[length, coded], &body).unwrap().is_empty());
        assert!(normalized(304, &[length, (LENGTH, "301")], &body).is_err());
        for status in [101, 204] {
            assert!(normalized(status, &[length, (LENGTH, "x"), coded], &body).unwrap().is_empty());
        }
    }
}
