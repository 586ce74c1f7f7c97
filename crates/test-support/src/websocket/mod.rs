//! WebSockets ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)): opening handshakes and frames as bytes, and a
//! client by tungstenite.

mod client;
pub mod frame;
pub mod handshake;

pub use client::{ABNORMAL, Client, CloseReceived, extended_connect, going_away};
