//! Frames of the proxy: Pings, and the Close at the end of a tunnel.
//!
//! At most one of them is waiting; a Close replaces a Ping. It is written at a boundary: either when all earlier
//! bytes have been written and no frame has begun ([`take_injected`](FrameRelay::take_injected)), or within the
//! next chunk ([`insert_close`](FrameRelay::insert_close)).

use super::{
    super::{
        CloseFrame, Side,
        frames::{ControlFrame, FrameParser, Mask},
        random::random_bytes,
    },
    FrameRelay, Mode, Rewritten, Tag,
};

/// A frame of the proxy.
#[derive(Debug)]
pub(super) struct Injected {
    pub(super) frame: ControlFrame,
    /// A Close: nothing is written after it.
    pub(super) is_close: bool,
}

/// Result of [`FrameRelay::inject_ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Pinged {
    /// The Ping, or an earlier frame of the proxy, is written next.
    Queued,
    /// The writer is within a frame.
    MidFrame,
    /// No Ping can be sent any more.
    Impossible,
}

impl FrameRelay {
    /// Injects a Close at the next boundary; nothing is written after it. Returns false if the writer has
    /// received a Close already, or cannot receive one.
    pub(in super::super) fn inject_close(&mut self, close: &CloseFrame) -> bool {
        let accepted = match self.mode {
            Mode::Relay => self.inspector.close_code.is_none(),
            Mode::Rejected => true,
            Mode::PassThrough | Mode::Closed => false,
        };
        if accepted {
            let frame = ControlFrame::close(close.code(), close.reason(), self.mask());
            self.injected = Some(Box::new(Injected { frame, is_close: true }));
        }
        accepted
    }

    /// Injects a Ping with this payload if the writer is at a boundary.
    pub(in super::super) fn inject_ping(&mut self, tag: Tag) -> Pinged {
        if self.mode != Mode::Relay || self.inspector.close_code.is_some() {
            return Pinged::Impossible;
        }
        if self.injected.is_none() {
            if !self.at_boundary() {
                return Pinged::MidFrame;
            }
            let frame = ControlFrame::ping(&tag, self.mask());
            self.injected = Some(Box::new(Injected { frame, is_close: false }));
        }
        Pinged::Queued
    }

    /// Takes the injected frame if the writer is at a boundary. Requires that all earlier bytes have been
    /// written.
    pub(in super::super) fn take_injected(&mut self) -> Option<ControlFrame> {
        if self.injected.is_none() || !self.at_boundary() {
            return None;
        }
        let injected = self.injected.take()?;
        if injected.is_close {
            self.mode = Mode::Closed;
        }
        Some(injected.frame)
    }

    /// Inserts the Close at the last boundary in `bytes`, which are written next, and discards the bytes after it.
    /// `before` is the position of the writer. A Ping is never inserted: it is injected at a boundary, and written
    /// before anything more is read.
    pub(super) fn insert_close(&mut self, before: Option<FrameParser>, mut bytes: Vec<u8>) -> Rewritten {
        if self.inspector.close_code.is_some() && self.mode == Mode::Relay {
            // The Close of the reader's side is relayed instead.
            self.injected = None;
        }
        if let Some(at) = before.and_then(|before| before.last_boundary(&bytes))
            && let Some(close) = self.injected.take()
        {
            bytes.truncate(at);
            bytes.extend_from_slice(close.frame.as_bytes());
            self.mode = Mode::Closed;
            let injected = at..bytes.len();
            return Rewritten { bytes, injected };
        }
        Rewritten::relayed(bytes)
    }

    /// Mask of an injected frame. Frames to an upstream are masked like those of a client
    /// ([RFC 6455, 5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)), with an unpredictable key
    /// ([10.3](https://www.rfc-editor.org/rfc/rfc6455#section-10.3)).
    fn mask(&self) -> Mask {
        match self.from {
            Side::Client => Mask::Key(random_bytes()),
            Side::Upstream => Mask::None,
        }
    }
}
