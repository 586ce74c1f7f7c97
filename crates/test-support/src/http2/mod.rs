//! HTTP/2 ([RFC 9113](https://www.rfc-editor.org/rfc/rfc9113)), at two levels:
//!
//! - frames: [`FrameConnection`] is a connection, of a client or of an upstream, every frame of which the test writes
//!   and reads;
//! - streams of the `h2` crate: [`Client`], [`Upstream`], and [`Stream`], a tunnel that reads and writes bytes.

mod client;
mod connection;
pub mod frame;
mod messages;
pub mod stream;
mod upstream;

pub use client::{Client, PendingResponse};
pub use connection::{Frame, FrameConnection};
pub use stream::Stream;
pub use upstream::{ReceivedRequest, Upstream};
