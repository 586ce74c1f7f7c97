//! What the upstream says, byte for byte.

use std::time::Duration;

/// Raw bytes for one request, and what comes after them. `UPSTREAM` stands for the upstream's address.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) after: After,
    /// Sent when the head is read, before the body.
    pub(crate) early: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    /// The next request on the same connection; after a 101 an echo.
    GoOn,
    Close,
    /// A word now and then.
    Ping(Duration),
    /// Nothing, with the connection open.
    Silence,
}

/// A canned answer: status line, then lines, then body, all as they go on the wire.
///
/// `X-From` tells it from what a front says itself.
pub(crate) fn answer(status: &str, lines: &str, body: &str) -> Answer {
    raw(format!("HTTP/1.1 {status}\r\nX-From: upstream\r\n{lines}\r\n{body}"))
}

pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
    Answer { bytes: bytes.into(), after: After::GoOn, early: false }
}

/// 200 with a body.
pub(crate) fn ok() -> Answer {
    answer("200 OK", "Content-Length: 2\r\n", "ok")
}

/// The right 101.
pub(crate) fn switching() -> Answer {
    switching_with("")
}

pub(crate) fn switching_with(lines: &str) -> Answer {
    let accept = crate::support::ACCEPT;
    answer(
        "101 Switching Protocols",
        &format!("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n{lines}"),
        "",
    )
}

impl Answer {
    /// To a request that the case does not expect.
    pub(crate) fn unscripted() -> Self {
        let bytes = b"HTTP/1.1 500 Unscripted\r\nX-From: upstream\r\nContent-Length: 0\r\n\r\n".to_vec();
        Self { bytes, after: After::GoOn, early: false }
    }

    pub(crate) fn and(self, after: After) -> Self {
        Self { after, ..self }
    }

    /// The same without a part of it.
    pub(crate) fn without(self, part: &str) -> Self {
        let text = String::from_utf8(self.bytes).unwrap();
        assert!(text.contains(part), "{part}");
        Self { bytes: text.replace(part, "").into_bytes(), ..self }
    }

    pub(crate) fn early(self) -> Self {
        Self { early: true, ..self }
    }
}
