//! The one set of clients, upstreams, proxies and codecs for the tests of this workspace.
//!
//! | module | contents |
//! | --- | --- |
//! | [`wire`] | connections as raw bytes, heads of HTTP/1.1 messages |
//! | [`http2`] | HTTP/2 as frames, and as streams of the `h2` crate: clients and upstreams |
//! | [`websocket`] | handshakes and frames of WebSockets, a client by tungstenite |
//! | [`versions`] | clients, upstreams and tunnels in either version of HTTP |
//! | [`upstream`] | an upstream scripted by the test, byte for byte, and one that echoes |
//! | [`proxy`] | the layer under test, served, with its reports |
//! | [`serve`](mod@serve) | servers by axum and hyper |
//! | [`tls`] | certificates, upstreams behind TLS |
//! | [`reserved`], [`tcp`], [`io`] | ports without a listener, connected sockets, streams of any kind |
//! | [`process`], [`browser`] | programs, scripts and Chromium |
//!
//! A failure panics: that is how a test fails. The items that most tests need are also at the root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]
#![allow(missing_docs, missing_debug_implementations, reason = "for tests only")]
#![allow(clippy::must_use_candidate, clippy::new_without_default, reason = "for tests only")]

pub mod browser;
pub mod http2;
pub mod io;
pub mod process;
pub mod proxy;
pub mod reserved;
pub mod serve;
pub mod tcp;
pub mod tls;
pub mod upstream;
pub mod versions;
pub mod websocket;
pub mod wire;

pub use proxy::{Inner, ScriptedProxy, TestProxy};
pub use reserved::ReservedPort;
pub use serve::{serve, serve_auto, serve_http1};
pub use upstream::{EchoUpstream, ScriptedUpstream};
pub use websocket::handshake::{
    ACCEPT, KEY, SWITCHING, accept, handshake, handshake_with, switching_protocols,
};
pub use wire::{Head, Wire, bounded, ping_pong};
