//! Responses of the upstream, byte for byte.

use std::time::Duration;

/// Raw bytes in response to one request, and what follows them. `UPSTREAM` is replaced by the upstream's address.
#[derive(Clone, Debug)]
pub(crate) struct CannedResponse {
    pub(crate) bytes: Vec<u8>,
    pub(crate) after: After,
    /// Sent after the request's head, before its body.
    pub(crate) early: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request on the same connection; after a 101 an echo.
    GoOn,
    Close,
    /// `ping` at this interval.
    Ping(Duration),
    /// Nothing, on an open connection.
    Silence,
    /// Records what the tunnel carries until its end.
    Record,
}

/// A response of a status line, lines and a body, all as they are sent.
///
/// `X-From` distinguishes it from the proxy's own responses.
pub(crate) fn response(status: &str, lines: &str, body: &str) -> CannedResponse {
    raw(format!("HTTP/1.1 {status}\r\nX-From: upstream\r\n{lines}\r\n{body}"))
}

pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> CannedResponse {
    CannedResponse { bytes: bytes.into(), after: After::GoOn, early: false }
}

/// 200 with a body.
pub(crate) fn ok() -> CannedResponse {
    response("200 OK", "Content-Length: 2\r\n", "ok")
}

/// The 101 that accepts the handshake.
pub(crate) fn switching() -> CannedResponse {
    switching_with("")
}

pub(crate) fn switching_with(lines: &str) -> CannedResponse {
    let accept = test_support::ACCEPT;
    response(
        "101 Switching Protocols",
        &format!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n{lines}"),
        "",
    )
}

impl CannedResponse {
    /// The response to a request that the case does not expect.
    pub(crate) fn unscripted() -> Self {
        let bytes = b"HTTP/1.1 500 Unscripted\r\nX-From: upstream\r\nContent-Length: 0\r\n\r\n".to_vec();
        Self { bytes, after: After::GoOn, early: false }
    }

    pub(crate) fn and(self, after: After) -> Self {
        Self { after, ..self }
    }

    /// The response without a part of it.
    pub(crate) fn without(self, part: &str) -> Self {
        let text = String::from_utf8(self.bytes).unwrap();
        assert!(text.contains(part), "{part}");
        Self { bytes: text.replace(part, "").into_bytes(), ..self }
    }

    pub(crate) fn early(self) -> Self {
        Self { early: true, ..self }
    }
}
