//! What tests on the wire share: raw connections, a scriptable upstream, servers for the layer.
#![allow(dead_code, unused_imports, reason = "each test program uses a part")]

pub(crate) mod frame;
mod reserved;
mod serve;
#[cfg(feature = "rustls")]
mod tls;
mod upstream;
mod wire;

pub(crate) use reserved::Reserved;
pub(crate) use serve::{
    FREE_PORT, listen, serve, serve_auto, serve_auto_with, serve_http1, serve_http1_with, serve_knowing_peers,
};
#[cfg(feature = "rustls")]
pub(crate) use tls::TlsServer;
pub(crate) use upstream::Scripted;
pub(crate) use wire::{Head, Wire, bounded, close_code, ping_pong};

/// The key of RFC 6455's example, and what it is accepted with.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A complete WebSocket handshake for `path`.
pub(crate) fn handshake(path: &str) -> String {
    handshake_with(path, &[])
}

/// The same, with further lines.
pub(crate) fn handshake_with(path: &str, lines: &[&str]) -> String {
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
pub(crate) fn accept(key: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha1::{Digest, Sha1};
    STANDARD
        .encode(Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

/// The 101 that answers [`handshake`].
pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
