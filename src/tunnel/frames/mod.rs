//! WebSocket framing, as far as a tunnel has to know it
//! ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
//!
//! A [`FrameParser`] follows one direction: it reads headers and control frames, skips the payload of data
//! frames, and tells where frames begin and end. A [`Filter`] is a parser that holds back what must not
//! be written yet, so that a frame can be taken out. A [`ControlFrame`] is a frame of our own; it may
//! stand at any boundary, also within a fragmented message
//! ([5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
//!
//! Nothing here does IO, allocates or changes a byte that passes.

mod close_code;
mod control;
mod event;
mod filter;
mod header;
mod parser;
mod partial;
#[cfg(any(test, upgrade_proxy_fuzz))]
mod tests;

pub use close_code::CloseCode;
pub(crate) use control::{ControlFrame, Mask};
pub(crate) use event::{Event, Frame, Payload};
pub(crate) use filter::{Filter, Filtered, Verdict};
pub(crate) use header::ProtocolError;
pub(crate) use parser::FrameParser;
pub(crate) use partial::PartialFrame;
#[cfg(any(test, upgrade_proxy_fuzz))]
pub(crate) use tests::check;

/// Bytes of the longest header of a frame.
pub(crate) const MAX_HEADER: usize = header::FrameHeader::MAX;
