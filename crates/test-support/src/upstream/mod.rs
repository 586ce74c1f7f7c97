//! Upstreams: one scripted by the test, byte for byte, and one that echoes. For upstreams in HTTP/2 see
//! [`http2`](crate::http2), in either version [`versions`](crate::versions).

mod echo;
mod scripted;

pub use echo::EchoUpstream;
pub use scripted::ScriptedUpstream;
