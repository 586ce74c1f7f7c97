//! Examination of every frame of a side.

use super::super::{
    CloseCode, Framing, Side, TunnelConfig,
    frames::{Event, Frame, Payload, ProtocolError, Verdict},
    splice::LARGE,
};

/// Payload of the Pings of the proxy: 8 bytes, so that the Pongs are short enough to be withheld and dropped.
pub(in super::super) type Tag = [u8; Payload::FIRST];

/// Record of the frames of one side.
#[derive(Debug, Default)]
pub(super) struct Inspector {
    /// Code in the Close of the side, [`CloseCode::NO_STATUS`] for a Close without a code.
    pub(super) close_code: Option<u16>,
    /// Error for which a frame was rejected. Nothing passes any more.
    pub(super) error: Option<FrameError>,
    /// Payload of the Pongs to be dropped.
    pub(super) tag: Option<Tag>,
    /// A Close is an answer to one of the proxy, and is dropped.
    pub(super) drops_close: bool,
    /// A Ping has passed since [`take_pinged`](super::FrameRelay::take_pinged) was last called.
    pub(super) pinged: bool,
    /// The last data frame is large enough to be spliced.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "nothing is spliced there"))]
    pub(super) is_large: bool,
}

/// Reason for which a frame is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum FrameError {
    /// A frame or message above the limit.
    TooBig,
    /// An invalid frame.
    Framing(ProtocolError),
    /// A frame masked by a server, or not masked by a client
    /// ([RFC 6455, 5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1)).
    Masking,
    /// A Close with a code that must not be sent
    /// ([7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)).
    CloseCode,
}

impl Inspector {
    /// Examines the next frame and decides whether it passes.
    #[inline]
    pub(super) fn inspect(&mut self, event: &Event, from: Side, config: &TunnelConfig) -> Verdict {
        match event.frame {
            Frame::Data(data) => self.is_large = data.length >= LARGE as u64,
            Frame::Close(code) => self.close_code = Some(code.unwrap_or(CloseCode::NO_STATUS)),
            _ => {}
        }
        if self.error.is_none() {
            self.error = FrameError::of(event, from, config);
        }
        match event.frame {
            _ if self.error.is_some() => Verdict::Drop,
            Frame::Close(_) if self.drops_close => Verdict::Drop,
            Frame::Pong(payload) if self.tag.is_some_and(|tag| payload.is(tag)) => Verdict::Drop,
            Frame::Ping(_) => {
                self.pinged = true;
                Verdict::Pass
            }
            _ => Verdict::Pass,
        }
    }
}

impl FrameError {
    /// The error of a frame under this configuration.
    #[inline]
    pub(super) fn of(event: &Event, from: Side, config: &TunnelConfig) -> Option<Self> {
        if let Frame::Data(data) = event.frame
            && (config.max_frame_size.is_some_and(|max| data.length > max)
                || config.max_message_size.is_some_and(|max| data.message_length > max))
        {
            return Some(Self::TooBig);
        }
        if config.framing == Framing::Strict { Self::of_framing(event, from) } else { None }
    }

    /// The violation of RFC 6455 that strict framing rejects.
    fn of_framing(event: &Event, from: Side) -> Option<Self> {
        match event.frame {
            Frame::Invalid(error) => Some(Self::Framing(error)),
            _ if event.is_masked != (from == Side::Client) => Some(Self::Masking),
            Frame::Close(Some(code)) if CloseCode::new(code).is_none() => Some(Self::CloseCode),
            _ => None,
        }
    }

    /// Description for logs and the summary.
    pub(in super::super) fn reason(self) -> &'static str {
        match self {
            Self::TooBig => "frame or message above the limit",
            Self::Framing(error) => error.reason(),
            Self::Masking => "frame masked by a server, or not by a client",
            Self::CloseCode => "Close with a reserved code",
        }
    }
}
