//! What is heard in passing.

use super::super::{
    CloseCode, Framing, Side, TunnelConfig,
    frames::{Event, Frame, Payload, ProtocolError, Verdict},
    splice::LARGE,
};

/// The payload of our own pings.
pub(in super::super) type Tag = [u8; Payload::FIRST];

/// What one side has said.
#[derive(Debug, Default)]
pub(super) struct Inspector {
    /// The code in its Close: [`CloseCode::NO_STATUS`] without one.
    pub(super) close_code: Option<u16>,
    /// Why nothing more of it passes.
    pub(super) error: Option<FrameError>,
    /// Pongs with this are answers to us.
    pub(super) tag: Option<Tag>,
    /// A Ping has passed since this was last looked at.
    pub(super) pinged: bool,
    /// The last frame of data is worth to be spliced.
    pub(super) large: bool,
}

/// What a side may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum FrameError {
    /// A frame or message above the limit.
    TooBig,
    /// What is no frame.
    Framing(ProtocolError),
    /// A frame masked by a server, or not by a client
    /// ([RFC 6455, 5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.1)).
    Masking,
    /// A Close with a code that may not be sent
    /// ([7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)).
    CloseCode,
}

impl Inspector {
    /// What becomes of the next frame of a side.
    #[inline]
    pub(super) fn inspect(&mut self, event: &Event, from: Side, config: &TunnelConfig) -> Verdict {
        match event.frame {
            Frame::Data(data) => self.large = data.length >= LARGE as u64,
            Frame::Close(code) => self.close_code = Some(code.unwrap_or(CloseCode::NO_STATUS)),
            _ => {}
        }
        if self.error.is_none() {
            self.error = FrameError::of(event, from, config);
        }
        match event.frame {
            _ if self.error.is_some() => Verdict::Drop,
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
    #[inline]
    pub(super) fn of(event: &Event, from: Side, config: &TunnelConfig) -> Option<Self> {
        if let Frame::Data(data) = event.frame
            && (config.sizes.frame.is_some_and(|most| data.length > most)
                || config.sizes.message.is_some_and(|most| data.message_length > most))
        {
            return Some(Self::TooBig);
        }
        if config.framing == Framing::Strict { Self::of_framing(event, from) } else { None }
    }

    /// What RFC 6455 forbids and a proxy could let through.
    fn of_framing(event: &Event, from: Side) -> Option<Self> {
        match event.frame {
            Frame::Invalid(error) => Some(Self::Framing(error)),
            _ if event.is_masked != (from == Side::Client) => Some(Self::Masking),
            Frame::Close(Some(code)) if CloseCode::new(code).is_none() => Some(Self::CloseCode),
            _ => None,
        }
    }

    /// In words.
    pub(in super::super) fn reason(self) -> &'static str {
        match self {
            Self::TooBig => "frame or message above the limit",
            Self::Framing(error) => error.reason(),
            Self::Masking => "frame masked by a server, or not by a client",
            Self::CloseCode => "Close with a reserved code",
        }
    }
}
