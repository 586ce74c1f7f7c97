//! WebSocket frames, as far as a proxy has to parse them
//! ([RFC 6455, 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
//!
//! In reading order:
//!
//! 1. [`header`]: the header of a frame, and the errors it can have.
//! 2. [`frame`]: the frames found in a chunk of bytes, as events.
//! 3. [`partial`]: the first bytes of a frame that has not arrived completely.
//! 4. [`parser`]: [`FrameParser`] follows the frames of one direction. It parses headers and control frames,
//!    skips the payload of data frames, and reports frame boundaries. [`events`] is its loop.
//! 5. [`filter`]: [`Filter`] is a parser that withholds incomplete frames, so that a frame can be dropped.
//! 6. [`control`] and [`close_code`]: frames that the proxy sends itself. A control frame may be inserted at
//!    any frame boundary, even within a fragmented message
//!    ([5.4](https://www.rfc-editor.org/rfc/rfc6455#section-5.4)).
//!
//! Nothing here does IO, allocates or changes the bytes of a relayed frame, and nothing is imported from the
//! rest of the crate.

mod close_code;
mod control;
mod events;
mod filter;
mod frame;
mod header;
mod parser;
mod partial;
#[cfg(any(test, upgrade_proxy_fuzz))]
mod tests;

pub use close_code::CloseCode;
pub(crate) use control::{ControlFrame, Mask};
pub(crate) use filter::{Filter, Filtered, Verdict};
pub(crate) use frame::{Event, Frame, Payload};
pub(crate) use header::ProtocolError;
pub(crate) use parser::{Boundary, FrameParser};
pub(crate) use partial::PartialFrame;
#[cfg(any(test, upgrade_proxy_fuzz))]
pub(crate) use tests::check;

/// Size of the longest frame header in bytes.
pub(crate) const MAX_HEADER: usize = header::FrameHeader::MAX;
