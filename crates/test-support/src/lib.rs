//! What tests on the wire share: raw connections, a scriptable upstream, servers for the layer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]
#![allow(missing_docs, missing_debug_implementations, clippy::must_use_candidate, reason = "for tests alone")]

pub mod browser;
pub mod devtools;
pub mod echo;
pub mod frame;
pub mod identity;
pub mod program;
mod reserved;
pub mod script;
mod serve;
pub mod socketio;
pub mod tcp;
mod tls;
pub mod trials;
mod upstream;
pub mod websocket;
mod wire;

pub use reserved::Reserved;
pub use serve::{
    FREE_PORT, listen, serve, serve_auto, serve_auto_with, serve_http1, serve_http1_with, serve_knowing_peers,
};
pub use tls::TlsServer;
pub use upstream::Scripted;
pub use wire::{Head, Wire, bounded, close_code, ping_pong};

/// The key of RFC 6455's example, and what it is accepted with.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A complete WebSocket handshake for `path`.
pub fn handshake(path: &str) -> String {
    handshake_with(path, &[])
}

/// The same, with further lines.
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

/// The accept value for a key.
pub fn accept(key: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha1::{Digest, Sha1};
    STANDARD
        .encode(Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

/// The 101 that answers [`handshake`].
pub const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
