//! Reference for dot segments: models of servers that resolve them.
//!
//! A path must be rejected if it leads above its start on one of these servers, and may be rejected only if it
//! does so when each segment is read as if by a server of its own.

/// Interpretation of paths by a server. The bits are kinds of servers known to exist.
struct Server(u8);

impl Server {
    const COUNT: u8 = 96;

    fn decodes_slashes(&self) -> bool {
        self.0 & 1 != 0
    }

    fn splits_at_backslashes(&self) -> bool {
        self.0 & 2 != 0
    }

    fn skips_empty_segments(&self) -> bool {
        self.0 & 4 != 0
    }

    fn decodes_overlong_characters(&self) -> bool {
        self.0 & 8 != 0
    }

    fn ends_segments_early(&self) -> bool {
        self.0 & 16 != 0
    }

    /// Path parameters are dropped before the path is decoded, as by Tomcat.
    fn drops_parameters_first(&self) -> bool {
        self.0 / 32 == 1
    }

    /// Path parameters are dropped from the decoded path.
    fn drops_parameters_last(&self) -> bool {
        self.0 / 32 == 2
    }

    /// Decodes `path` once.
    fn decode(&self, path: &[u8]) -> Vec<u8> {
        let path = if self.drops_parameters_first() { without_parameters(path) } else { path.to_vec() };
        let keeps = |byte| byte == b'/' && !self.decodes_slashes();
        let decoded = decode(&path, keeps);
        if self.decodes_overlong_characters() { shortest(&decoded) } else { decoded }
    }

    /// Returns true if dot segments of the decoded path lead above its start.
    fn escapes(&self, path: &[u8]) -> bool {
        let path = if self.drops_parameters_last() { without_parameters(path) } else { path.to_vec() };
        let mut open = 0;
        for segment in path.split(|byte| *byte == b'/' || *byte == b'\\' && self.splits_at_backslashes()) {
            let segment = if self.ends_segments_early() { until_end(segment) } else { segment };
            match segment {
                b"" if self.skips_empty_segments() => {}
                b"." => {}
                b".." => open -= 1,
                _ => open += 1,
            }
            if open < 0 {
                return true;
            }
        }
        false
    }
}

/// Returns true if a server that decodes the path up to eight times resolves it above its start.
pub(super) fn escapes_on_a_server(path: &str) -> bool {
    let path = path.strip_prefix('/').unwrap_or(path);
    (0..Server::COUNT).map(Server).any(|server| {
        let mut path = path.as_bytes().to_vec();
        for _ in 0..8 {
            if server.escapes(&path) {
                return true;
            }
            let decoded = server.decode(&path);
            if decoded == path {
                return false;
            }
            path = decoded;
        }
        server.escapes(&path)
    })
}

/// Returns true if there is a reading of each part of the completely decoded path that leads above its start.
/// All readings are tried, unless there are too many.
pub(super) fn may_escape(path: &str) -> bool {
    let mut depth = 0;
    for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
        let mut segment = segment.as_bytes().to_vec();
        loop {
            let decoded = shortest(&decode(&segment, |_| false));
            if decoded == segment {
                break;
            }
            segment = decoded;
        }
        let parts: Vec<&[u8]> = segment.split(|byte| b"/\\".contains(byte)).collect();
        if parts.len() > 8 {
            return true;
        }
        match lowest(&parts, depth) {
            Some(lowest) => depth = lowest,
            None => return true,
        }
    }
    false
}

/// Returns the lowest depth after the parts, of all ways to join them, or `None` if one leads above the start.
fn lowest(parts: &[&[u8]], depth: usize) -> Option<usize> {
    let [first, ..] = parts else { return Some(depth) };
    let is_ended = until_end(first).len() < first.len();
    let mut found = Vec::new();
    for joined in 1..=parts.len() {
        let rest = &parts[joined..];
        found.push(lowest(rest, depth + 1)?);
        if joined == 1 || is_ended {
            match until_end(first) {
                b"" | b"." => found.push(lowest(rest, depth)?),
                b".." => found.push(lowest(rest, depth.checked_sub(1)?)?),
                _ => {}
            }
        }
    }
    found.into_iter().min()
}

/// Decodes percent-encoded octets, except those for which `keeps` returns true.
fn decode(text: &[u8], keeps: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octet =
            after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let octet = octet.map(|digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap());
        match octet.filter(|octet| !keeps(*octet)) {
            Some(octet) => {
                decoded.push(octet);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// Replaces overlong encodings of ASCII characters in UTF-8, of up to six bytes.
fn shortest(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    'next: while let Some((first, after)) = rest.split_first() {
        for (zeros, lead, len) in
            [(0xC0, 0xE0, 2), (0xE0, 0xF0, 3), (0xF0, 0xF8, 4), (0xF8, 0xFC, 5), (0xFC, 0xFE, 6_usize)]
        {
            let Some(others) = after.get(..len - 1) else { continue };
            if first & lead != zeros || others.iter().any(|byte| byte & 0xC0 != 0x80) {
                continue;
            }
            let bits =
                others.iter().fold(u64::from(first & !lead), |bits, byte| bits << 6 | u64::from(byte & 0x3F));
            if let Some(character) = u8::try_from(bits).ok().filter(u8::is_ascii) {
                decoded.push(character);
                rest = &after[len - 1..];
                continue 'next;
            }
        }
        decoded.push(*first);
        rest = after;
    }
    decoded
}

/// Removes the path parameters of each segment.
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let segments = path.split(|byte| *byte == b'/');
    let names: Vec<&[u8]> =
        segments.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default()).collect();
    names.join(&b'/')
}

/// Returns the part of a segment before the first character that may end it.
fn until_end(segment: &[u8]) -> &[u8] {
    segment.split(|byte| b";?#".contains(byte) || *byte <= b' ' || *byte == 0x7F).next().unwrap_or_default()
}
