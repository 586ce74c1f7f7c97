//! The opening handshake in HTTP/1.1, as bytes.

use crate::wire::Head;

/// Key of RFC 6455's example.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Value of `Sec-WebSocket-Accept` for [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The 101 response to [`handshake`].
pub const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A request with a complete WebSocket handshake for `path`.
pub fn handshake(path: &str) -> String {
    handshake_with(path, &[])
}

/// [`handshake`] with further field lines.
pub fn handshake_with(path: &str, lines: &[&str]) -> String {
    let mut head = format!(
        "GET {path} HTTP/1.1\r\nHost: client.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for line in lines {
        head.push_str(line);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

/// Value of `Sec-WebSocket-Accept` for a key.
pub fn accept(key: impl AsRef<[u8]>) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha1::{Digest, Sha1};
    STANDARD
        .encode(Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

/// The 101 response to a request with the head `request`, with further field lines, each with its line end.
pub fn switching_protocols(request: &Head, lines: &str) -> String {
    let keys = request.values("sec-websocket-key");
    let [key] = &keys[..] else { panic!("not one key: {}", request.text()) };
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n{lines}\r\n",
        accept(key)
    )
}
