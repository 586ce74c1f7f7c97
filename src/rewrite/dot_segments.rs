//! Dot segments of paths, as any server may interpret them.
//!
//! Servers differ in what they decode before they resolve dot segments, and in what they take for a separator
//! or for the end of a segment. [`may_escape`] does not model one server after the other. It decodes a path
//! completely, and follows the reading that leads furthest up, with a choice of its own for each segment:
//!
//! - percent-encoded octets are decoded repeatedly, until none is left (`%252e`, `%%32e`), and so are overlong
//!   encodings of ASCII characters in UTF-8 (`%c0%ae`);
//! - an encoded slash, a backslash and an encoded backslash separate segments or belong to a name;
//! - a segment counts in full, or ends at `;` (path parameters), `?`, `#`, a space or a control character;
//! - empty segments are skipped.
//!
//! Partial decoding needs no treatment of its own: `..`, separators and ends that a server sees after some
//! steps are still there after the last. Whatever it takes for a name counts as one at most.

/// Returns true if dot segments may lead above the start of the path.
pub(super) fn may_escape(path: &str) -> bool {
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    let (mut depth, mut decoded) = (0, Vec::new());
    for segment in path.split('/') {
        decode(segment, &mut decoded);
        match lowest_depth(&decoded, depth) {
            Some(lowest) => depth = lowest,
            None => return true,
        }
    }
    false
}

/// Returns the lowest depth after a segment that starts at `depth`, or `None` if it may lead above 0.
///
/// The segment has been decoded, so it may have separators: each part is a segment of its own, or joined to
/// the previous ones.
fn lowest_depth(segment: &[u8], depth: usize) -> Option<usize> {
    // After the parts so far, and with the last part joined to others before it.
    let (mut lowest, mut joined) = (depth, usize::MAX);
    for part in segment.split(|byte| matches!(byte, b'/' | b'\\')) {
        let end = part.iter().position(|byte| b";?# \x7f".contains(byte) || byte.is_ascii_control());
        let alone = match &part[..end.unwrap_or(part.len())] {
            b"" | b"." => lowest,
            b".." => lowest.checked_sub(1)?,
            _ => lowest + 1,
        };
        // Parts joined to this one follow its end, or make it a name.
        joined = joined.min(if end.is_some() { alone } else { lowest + 1 });
        lowest = alone.min(joined);
    }
    Some(lowest)
}

/// Decodes a segment completely into `decoded`.
fn decode(segment: &str, decoded: &mut Vec<u8>) {
    decoded.clear();
    for byte in segment.bytes() {
        decoded.push(byte);
        // A decoded byte may complete another encoding.
        while let Some((len, byte)) = encoded_suffix(decoded) {
            decoded.truncate(decoded.len() - len);
            decoded.push(byte);
        }
    }
}

/// Returns the length of an encoding at the end of `text`, and the byte that it encodes.
fn encoded_suffix(text: &[u8]) -> Option<(usize, u8)> {
    if let [.., b'%', high, low] = text
        && let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low))
    {
        return Some((3, high << 4 | low));
    }
    let len = match text {
        // Overlong: the bits of an ASCII character, after zeros.
        [.., 0xC0 | 0xC1, 0x80..=0xBF] => 2,
        [.., 0xE0, 0x80 | 0x81, 0x80..=0xBF] => 3,
        [.., 0xF0, 0x80, 0x80 | 0x81, 0x80..=0xBF] => 4,
        [.., 0xF8, 0x80, 0x80, 0x80 | 0x81, 0x80..=0xBF] => 5,
        [.., 0xFC, 0x80, 0x80, 0x80, 0x80 | 0x81, 0x80..=0xBF] => 6,
        _ => return None,
    };
    let [.., high, low] = text else { return None };
    Some((len, (high & 1) << 6 | low & 0x3F))
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_some_server_resolves_above_their_start_are_found() {
        let escaping = [
            "/..",
            "/a/../../x",
            "/%2e%2E/x",
            "/..%2fx",
            "/.%2e%5cx",
            "/..\\x",
            "/..;a/x",
            "/..;/x",
            "/./..//x",
            // One segment for some servers, two for others.
            "/a%2fb/../../x",
            "/a%5Cb/../../x",
            "/a\\b/%2e%2e/../x",
            "/a/..;%2fb/../x",
            "/a%2fb%5c../../..",
            // Encoded ends of segments.
            "/..%3b/x",
            "/..%3Ba=b/x",
            "/..%253b/x",
            "/..%3fx",
            "/..%23/x",
            "/..%00/x",
            "/..%20/x",
            "/..%0a",
            // Encoded more than once.
            "/%252e%252e/x",
            "/..%252fx",
            "/..%255cx",
            "/%25252e%2525252e/x",
            "/%%32e./x",
            "/%2%65%2e/x",
            "/%25%32%65.",
            "/a/..%252f../x",
            // Overlong.
            "/%c0%ae%c0%ae/x",
            "/..%c0%afx",
            "/..%c1%9cx",
            "/%e0%80%ae./x",
            "/%f0%80%80%ae%f8%80%80%80%ae/x",
            "/%fc%80%80%80%80%ae./x",
            "/%25c0%25ae./x",
            "/%c0%a52e./x",
            "/..%c0%bb/x",
            // Directly behind a percent sign.
            "/;%25%c0%af..",
            "/..%25%32%66x",
            // The depth is that of the reading with the fewest names.
            "/a%252fb/../../x",
            "//../x",
            "/;a/../x",
        ];
        for path in escaping {
            assert!(may_escape(path), "{path}");
        }
    }

    #[test]
    fn other_paths_are_not_affected() {
        let staying = [
            "",
            "/",
            "/a/../x",
            "/a%2fb/../x",
            "/a/b%2f..%5c../x",
            "/a%2fb%2fc",
            "/a;b=c/",
            "/a;v=1..2/b;/c",
            "/;jsessionid=1/x",
            "/%2525",
            "/100%25",
            "/%zz%",
            "/..foo",
            "/...",
            "/.../x",
            "/foo..",
            "/foo../bar",
            "/a..b/..c",
            "/x/%2e",
            "/./%2e/.",
            "/.well-known/x",
            "/x/..%3bfoo/y",
            "/x/%252e%252e/y",
            "/caf%c3%a9/%e2%82%ac",
            "/%c0%c1/%c3%a9",
            "/%2e%2ea",
            "/a%20b/c%3fd%23",
            "/https://a.example/..x",
        ];
        for path in staying {
            assert!(!may_escape(path), "{path}");
        }
    }

    #[test]
    fn nested_encodings_of_a_long_path_are_decoded_in_one_pass() {
        let path = format!("/%{}2e.", "25".repeat(30_000));
        assert!(may_escape(&path));
        assert!(!may_escape(&format!("/a{path}")));
    }
}
