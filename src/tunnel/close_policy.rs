//! [`ClosePolicy`]: which Close goes with which end.

use super::{CloseCode, CloseFrame, Side, TunnelEnd};

/// What the sides of a WebSocket are told when their tunnel ends and they have not closed it themselves.
///
/// Each can be another [`CloseFrame`], or `None`: then that side sees its connection end without one, which a
/// browser reports as 1006. A Close is sent only where a frame of its direction ends.
///
/// | the tunnel ends | told | by default |
/// | --- | --- | --- |
/// | idle timeout, maximum lifetime | both | 1001 |
/// | drained | both | what the drain says |
/// | the upstream's connection ends, or fails, without a Close | the client | 1011 |
/// | the upstream does not answer pings | the client | 1011 |
/// | the client's connection ends, or fails, without a Close | the upstream | nothing, as without a proxy |
/// | the client does not answer pings | the upstream | 1001 |
/// | a frame or message above the limit | both | 1009 |
/// | no valid framing, where that is strict | both | 1002 |
///
/// ```
/// use tower_upgrade_proxy::{CloseFrame, CloseCode, ClosePolicy};
///
/// // For clients that know 1014.
/// let closes = ClosePolicy::new().upstream_gone(CloseFrame::new(CloseCode::BAD_GATEWAY));
/// ```
///
/// 1014, "bad gateway", would say best that the upstream has gone. But some libraries take it for a violation
/// of the protocol: tungstenite, and gorilla/websocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosePolicy {
    idle: Option<CloseFrame>,
    lifetime: Option<CloseFrame>,
    upstream_gone: Option<CloseFrame>,
    client_gone: Option<CloseFrame>,
    client_silent: Option<CloseFrame>,
    too_big: Option<CloseFrame>,
    invalid: Option<CloseFrame>,
}

impl ClosePolicy {
    /// As in the table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            idle: Some(CloseFrame::because(CloseCode::GOING_AWAY, "idle timeout")),
            lifetime: Some(CloseFrame::because(CloseCode::GOING_AWAY, "maximum lifetime reached")),
            upstream_gone: Some(CloseFrame::because(CloseCode::INTERNAL_ERROR, "the upstream has gone")),
            client_gone: None,
            client_silent: Some(CloseFrame::because(CloseCode::GOING_AWAY, "the client has gone")),
            too_big: Some(CloseFrame::because(CloseCode::TOO_BIG, "message too big")),
            invalid: Some(CloseFrame::because(CloseCode::PROTOCOL_ERROR, "invalid framing")),
        }
    }

    /// Nobody is told anything, but by a drain.
    #[must_use]
    pub fn none() -> Self {
        Self {
            idle: None,
            lifetime: None,
            upstream_gone: None,
            client_gone: None,
            client_silent: None,
            too_big: None,
            invalid: None,
        }
    }

    /// To both sides, at [`TunnelEnd::IdleTimeout`].
    #[must_use]
    pub fn idle_timeout(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.idle = close.into();
        self
    }

    /// To both sides, at [`TunnelEnd::LifetimeReached`].
    #[must_use]
    pub fn max_lifetime(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.lifetime = close.into();
        self
    }

    /// To the client, when the upstream's connection ends without a Close, fails, or is
    /// [silent](TunnelEnd::KeepAliveTimeout).
    #[must_use]
    pub fn upstream_gone(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.upstream_gone = close.into();
        self
    }

    /// To the upstream, when the client's connection ends without a Close, or fails.
    #[must_use]
    pub fn client_gone(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.client_gone = close.into();
        self
    }

    /// To the upstream, when the client is [silent](TunnelEnd::KeepAliveTimeout).
    #[must_use]
    pub fn client_silent(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.client_silent = close.into();
        self
    }

    /// To both sides, at [`TunnelEnd::TooBig`].
    #[must_use]
    pub fn too_big(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.too_big = close.into();
        self
    }

    /// To both sides, at [`TunnelEnd::InvalidFraming`].
    #[must_use]
    pub fn invalid_framing(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.invalid = close.into();
        self
    }

    /// What the other side is told when the connection of `side` has ended without a Close.
    pub(super) fn at_end_of(&self, side: Side) -> Option<&CloseFrame> {
        match side {
            Side::Client => self.client_gone.as_ref(),
            Side::Upstream => self.upstream_gone.as_ref(),
        }
    }

    /// What `to` is told of `end`.
    pub(super) fn at<'a>(
        &'a self,
        end: &'a TunnelEnd,
        drained: Option<&'a CloseFrame>,
        to: Side,
    ) -> Option<&'a CloseFrame> {
        match (end, to) {
            (TunnelEnd::IdleTimeout, _) => self.idle.as_ref(),
            (TunnelEnd::LifetimeReached, _) => self.lifetime.as_ref(),
            (TunnelEnd::Drained, _) => drained,
            (TunnelEnd::Failed { side, .. }, _) if *side != to => self.at_end_of(*side),
            (TunnelEnd::KeepAliveTimeout { side: Side::Upstream }, Side::Client) => {
                self.upstream_gone.as_ref()
            }
            (TunnelEnd::KeepAliveTimeout { side: Side::Client }, Side::Upstream) => {
                self.client_silent.as_ref()
            }
            (TunnelEnd::TooBig { .. }, _) => self.too_big.as_ref(),
            (TunnelEnd::InvalidFraming { .. }, _) => self.invalid.as_ref(),
            _ => None,
        }
    }
}

impl Default for ClosePolicy {
    fn default() -> Self {
        Self::new()
    }
}
