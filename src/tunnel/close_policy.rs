//! [`ClosePolicy`]: the Close frames sent at the end of a tunnel.

use super::{CloseCode, CloseFrame, Side, TunnelEnd};

/// Close frames that the proxy sends to the sides of a WebSocket when their tunnel ends.
///
/// Each of them can be replaced, or set to `None`: then the connection ends without a Close, which a browser
/// reports as 1006. A side to which the Close of the other side was relayed is not sent a second one. A Close
/// is sent at a frame boundary only: a side that has received a part of a frame gets none.
///
/// | end of the tunnel | side that is sent a Close | default |
/// | --- | --- | --- |
/// | idle timeout, maximum lifetime | both | 1001 |
/// | drain, [`TunnelHandle::end`](super::TunnelHandle::end) | both | the Close of the drain or the call |
/// | the connection of the upstream ends, or fails, without a Close | client | 1011 |
/// | the upstream does not answer a Ping | client | 1011 |
/// | the connection of the client ends, or fails, without a Close | upstream | none, as without a proxy |
/// | the client does not answer a Ping | upstream | 1001 |
/// | a frame or message exceeds its limit | both | 1009 |
/// | invalid framing, with [`Framing::Strict`](super::Framing::Strict) | both | 1002 |
///
/// ```
/// use tower_upgrade_proxy::{CloseFrame, CloseCode, ClosePolicy};
///
/// // For clients that support 1014.
/// let policy = ClosePolicy::new().upstream_gone(CloseFrame::new(CloseCode::BAD_GATEWAY));
/// ```
///
/// 1014, "bad gateway", describes a failed upstream best. But some libraries treat it as a protocol error:
/// tungstenite and gorilla/websocket.
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
    /// The defaults of the table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            idle: Some(CloseFrame::from_static(CloseCode::GOING_AWAY, "idle timeout")),
            lifetime: Some(CloseFrame::from_static(CloseCode::GOING_AWAY, "maximum lifetime reached")),
            upstream_gone: Some(CloseFrame::from_static(CloseCode::INTERNAL_ERROR, "the upstream has gone")),
            client_gone: None,
            client_silent: Some(CloseFrame::from_static(CloseCode::GOING_AWAY, "the client has gone")),
            too_big: Some(CloseFrame::from_static(CloseCode::TOO_BIG, "message too big")),
            invalid: Some(CloseFrame::from_static(CloseCode::PROTOCOL_ERROR, "invalid framing")),
        }
    }

    /// No Close at any end but a drain.
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

    /// Close to both sides at [`TunnelEnd::IdleTimeout`].
    #[must_use]
    pub fn idle_timeout(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.idle = close.into();
        self
    }

    /// Close to both sides at [`TunnelEnd::LifetimeReached`].
    #[must_use]
    pub fn max_lifetime(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.lifetime = close.into();
        self
    }

    /// Close to the client when the connection of the upstream ends without a Close, fails, or does not
    /// [answer a Ping](TunnelEnd::KeepAliveTimeout).
    #[must_use]
    pub fn upstream_gone(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.upstream_gone = close.into();
        self
    }

    /// Close to the upstream when the connection of the client ends without a Close, or fails.
    #[must_use]
    pub fn client_gone(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.client_gone = close.into();
        self
    }

    /// Close to the upstream when the client does not [answer a Ping](TunnelEnd::KeepAliveTimeout).
    #[must_use]
    pub fn client_silent(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.client_silent = close.into();
        self
    }

    /// Close to both sides at [`TunnelEnd::TooBig`].
    #[must_use]
    pub fn too_big(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.too_big = close.into();
        self
    }

    /// Close to both sides at [`TunnelEnd::InvalidFraming`].
    #[must_use]
    pub fn invalid_framing(mut self, close: impl Into<Option<CloseFrame>>) -> Self {
        self.invalid = close.into();
        self
    }

    /// Close to the other side when the connection of `side` ends without a Close.
    pub(super) fn at_end_of(&self, side: Side) -> Option<&CloseFrame> {
        match side {
            Side::Client => self.client_gone.as_ref(),
            Side::Upstream => self.upstream_gone.as_ref(),
        }
    }

    /// Close to `to` at `end`. `drained` is the Close of the drain.
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
