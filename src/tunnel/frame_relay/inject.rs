//! Frames of the proxy: Pings, and the notice at the end of a tunnel, which is a Close or just the end of the stream.
//!
//! At most one of them is waiting; a notice replaces a Ping. It is written at a boundary: either when all earlier
//! bytes have been written and no frame has begun ([`take_injected`](FrameRelay::take_injected)), or within the
//! next chunk ([`insert_notice`](FrameRelay::insert_notice)).

use super::{
    super::{
        Side,
        close_policy::Notice,
        frames::{Boundary, ControlFrame, FrameParser, Mask},
        random::random_bytes,
        summary::Told,
    },
    FrameRelay, Mode, Rewritten, Tag,
};

/// Something of the proxy that is written next.
#[derive(Debug)]
pub(super) enum Injected {
    Ping(ControlFrame),
    /// A Close, or the end of the stream: nothing is written after it.
    Notice {
        close: Option<ControlFrame>,
        told: Told,
        /// Where it is written.
        boundary: Boundary,
    },
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

impl Injected {
    pub(super) fn is_notice(&self) -> bool {
        matches!(self, Self::Notice { .. })
    }

    /// Lets a notice be written within a message: the rest of the message will not arrive.
    pub(super) fn hasten(&mut self) {
        if let Self::Notice { boundary, .. } = self {
            *boundary = Boundary::Frame;
        }
    }

    fn boundary(&self) -> Boundary {
        match self {
            Self::Ping(_) => Boundary::Frame,
            Self::Notice { boundary, .. } => *boundary,
        }
    }
}

impl FrameRelay {
    /// Injects a notice at the next boundary of this kind; nothing is written after it. Returns false if the writer has
    /// received a Close already, or cannot be notified.
    pub(in super::super) fn inject_notice(&mut self, notice: &Notice, boundary: Boundary) -> bool {
        let accepted = match self.mode {
            Mode::Relay => self.inspector.close_code.is_none(),
            Mode::Rejected => true,
            Mode::PassThrough | Mode::Closed => false,
        };
        if accepted {
            let (close, told) = match notice {
                Notice::Close(close) => (
                    Some(ControlFrame::close(close.code(), close.reason(), self.mask())),
                    Told::Close(close.code().get()),
                ),
                Notice::EndOfStream => (None, Told::EndOfStream),
            };
            self.injected = Some(Box::new(Injected::Notice { close, told, boundary }));
        }
        accepted
    }

    /// Injects a Ping with this payload if the writer is at a boundary.
    pub(in super::super) fn inject_ping(&mut self, tag: Tag) -> Pinged {
        if self.mode != Mode::Relay || self.inspector.close_code.is_some() {
            return Pinged::Impossible;
        }
        if self.injected.is_none() {
            if !self.at_boundary(Boundary::Frame) {
                return Pinged::MidFrame;
            }
            let frame = ControlFrame::ping(&tag, self.mask());
            self.injected = Some(Box::new(Injected::Ping(frame)));
        }
        Pinged::Queued
    }

    /// Takes the injected frame if the writer is at its boundary. Requires that all earlier bytes have been
    /// written.
    pub(in super::super) fn take_injected(&mut self) -> Option<ControlFrame> {
        let boundary = self.injected.as_ref()?.boundary();
        if !self.at_boundary(boundary) {
            return None;
        }
        match *self.injected.take()? {
            Injected::Ping(frame) => Some(frame),
            Injected::Notice { close, told, .. } => {
                self.end_with(told);
                close
            }
        }
    }

    /// Inserts the notice at the last boundary in `bytes`, which are written next, and discards the bytes after it.
    /// `before` is the position of the writer. A Ping is never inserted: it is injected at a boundary, and written
    /// before anything more is read.
    pub(super) fn insert_notice(&mut self, before: Option<FrameParser>, mut bytes: Vec<u8>) -> Rewritten {
        if self.inspector.close_code.is_some() && self.mode == Mode::Relay && !self.inspector.drops_close {
            // The Close of the reader's side is relayed instead.
            self.injected = None;
        }
        let boundary = self.injected.as_ref().map(|injected| injected.boundary());
        if let Some(at) = before.zip(boundary).and_then(|(before, kind)| before.last_boundary(kind, &bytes))
            && let Some(Injected::Notice { close, told, .. }) = self.injected.take().map(|injected| *injected)
        {
            bytes.truncate(at);
            bytes.extend_from_slice(close.as_ref().map_or(&[], ControlFrame::as_bytes));
            self.end_with(told);
            let injected = at..bytes.len();
            return Rewritten { bytes, injected };
        }
        Rewritten::relayed(bytes)
    }

    fn end_with(&mut self, told: Told) {
        self.told = Some(told);
        self.mode = Mode::Closed;
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
