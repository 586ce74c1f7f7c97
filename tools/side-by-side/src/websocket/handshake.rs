//! Opening handshake, for client and server.

use test_support::websocket::handshake::{ACCEPT, KEY, accept};

/// Request of a client.
pub(crate) fn request(host: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nUser-Agent: side-by-side\r\n\r\n"
    )
    .into_bytes()
}

/// Response of a server.
pub(crate) fn response(key: &[u8]) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    )
    .into_bytes()
}

/// Returns the length of the response's head if it is complete. Any response other than a 101 for [`KEY`] is an error.
pub(crate) fn verify(bytes: &[u8]) -> Result<Option<usize>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let size = match head.parse(bytes).map_err(|error| format!("the response is not HTTP: {error}"))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(size) => size,
    };
    if head.code != Some(101) {
        return Err(format!("{} instead of 101", head.code.unwrap_or_default()));
    }
    let mut accepts =
        head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("sec-websocket-accept"));
    match (accepts.next(), accepts.next()) {
        (Some(field), None) if field.value == ACCEPT.as_bytes() => Ok(Some(size)),
        _ => Err("the 101 has no valid Sec-WebSocket-Accept".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_101_for_the_key_is_valid() {
        let valid = response(KEY.as_bytes());
        assert_eq!(verify(&valid), Ok(Some(valid.len())));
        assert_eq!(verify(&valid[..valid.len() - 1]), Ok(None));
        assert!(verify(&response(b"another key")).is_err());
        assert_eq!(verify(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), Err("502 instead of 101".to_owned()));
    }
}
