//! Upstreams: one whose every byte the test writes, and one that echoes. For upstreams that speak HTTP/2 see
//! [`http2`](crate::http2), for those of either version [`versions`](crate::versions).

mod echo;
mod scripted;

pub use echo::EchoUpstream;
pub use scripted::ScriptedUpstream;
