//! What is heard in passing.

use super::super::{
    CloseCode, Side, TunnelConfig,
    config::Sizes,
    frames::{Event, Frame, Payload, Verdict, Violation},
};

/// The payload of our own pings.
pub(in super::super) type Tag = [u8; Payload::FIRST];

/// Listens to the frames of one side.
#[derive(Debug)]
pub(super) struct Ear {
    from: Side,
    sizes: Sizes,
    strict: bool,
    /// Its Close, and the code in it.
    pub(super) close: Option<Option<u16>>,
    /// Why nothing more of it passes.
    pub(super) fault: Option<Fault>,
    /// Pongs with this are answers to us.
    pub(super) tag: Option<Tag>,
    /// A Ping has passed since this was last looked at.
    pub(super) pinged: bool,
}

/// What a side may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// A frame or message above the limit.
    TooBig,
    /// What makes no sense, in words.
    Framing(&'static str),
}

impl Ear {
    pub(super) fn new(from: Side, config: &TunnelConfig) -> Self {
        let (sizes, strict) = (config.sizes, config.strict);
        Self { from, sizes, strict, close: None, fault: None, tag: None, pinged: false }
    }

    #[inline]
    pub(super) fn judge(&mut self, event: &Event) -> Verdict {
        if let Frame::Close(code) = event.frame {
            self.close = Some(code);
        }
        if self.fault.is_none() {
            self.fault = self.fault_in(event);
        }
        match event.frame {
            _ if self.fault.is_some() => Verdict::Cut,
            Frame::Pong(payload) if self.tag.is_some_and(|tag| payload.is(tag)) => Verdict::Cut,
            Frame::Ping(_) => {
                self.pinged = true;
                Verdict::Pass
            }
            _ => Verdict::Pass,
        }
    }

    /// What [`judge`](Self::judge) will say of a frame of data.
    #[cfg(target_os = "linux")]
    pub(super) fn would(&self, event: &Event) -> Verdict {
        if self.fault_in(event).is_some() { Verdict::Cut } else { Verdict::Pass }
    }

    #[inline]
    fn fault_in(&self, event: &Event) -> Option<Fault> {
        if let Frame::Data(data) = event.frame
            && (self.sizes.frame.is_some_and(|most| data.length > most)
                || self.sizes.message.is_some_and(|most| data.message > most))
        {
            return Some(Fault::TooBig);
        }
        if self.strict { self.broken_rule(event).map(Fault::Framing) } else { None }
    }

    /// What RFC 6455 forbids and a proxy could let through.
    fn broken_rule(&self, event: &Event) -> Option<&'static str> {
        match (event.frame, self.from) {
            (Frame::Invalid(violation), _) => Some(Violation::reason(violation)),
            (_, Side::Client) if !event.is_masked => Some("frame of a client without a mask"),
            (_, Side::Upstream) if event.is_masked => Some("frame of a server with a mask"),
            (Frame::Close(Some(code)), _) if CloseCode::new(code).is_none() => {
                Some("Close with a reserved code")
            }
            _ => None,
        }
    }
}
