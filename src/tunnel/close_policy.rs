//! [`ClosePolicy`]: the Close frames sent at the end of a tunnel.

use std::{fmt, sync::Arc};

use super::{CloseCode, CloseFrame, Side, TunnelEnd};

/// Close frames that the proxy sends to the sides of a WebSocket when their tunnel ends.
///
/// A Close that one side has sent is always relayed. The policy is for ends at which a side has not sent one: a timeout, a
/// drain, a connection that ends without a Close.
///
/// Without a Close, the side's connection ends behind a complete message (a FIN, or the end of the stream in HTTP/2), which
/// a browser reports as 1006. That is what clients see when a server that they are connected to directly stops, and what
/// they see behind nginx: all clients that reconnect at all reconnect after it. After a Close, several do not. Codes that a
/// client treats as final differ from client to client.
///
/// | end of the tunnel | to | [`transparent`](Self::transparent) | [`service_restart`](Self::service_restart) | [`going_away`](Self::going_away) |
/// | --- | --- | --- | --- | --- |
/// | idle timeout | client | – | – | 1001 |
/// | maximum lifetime, drain, [`TunnelHandle::end`](super::TunnelHandle::end) | client | – | 1012 | 1001 |
/// | the connection of the upstream ends, fails, or does not answer a Ping | client | – | – | 1011 |
/// | the upstream sends a message above the limit, or invalid framing | client | – | – | 1009, 1002 |
/// | idle timeout, maximum lifetime, drain, `TunnelHandle::end` | upstream | 1001 | 1001 | 1001 |
/// | the client does not answer a Ping | upstream | 1001 | 1001 | 1001 |
/// | the connection of the client ends or fails | upstream | 1001 | 1001 | – |
/// | the client sends a message above the limit, or invalid framing | upstream | 1001 | 1001 | 1009, 1002 |
///
/// 1001, "going away", is what a browser sends when its page is closed.
///
/// No policy applies to a side that sent a message above the limit (1009), or invalid framing with
/// [`Framing::Strict`](super::Framing::Strict) (1002); nor to a drain or a call with a Close of its own
/// ([`DrainConfig::close`](crate::DrainConfig::close)), which both sides are sent.
///
/// Nothing is sent within a frame: a side that has received a part of a frame gets no Close.
#[derive(Clone, PartialEq, Eq)]
pub struct ClosePolicy(Policy);

#[derive(Clone)]
enum Policy {
    Transparent,
    ServiceRestart,
    GoingAway,
    Custom(Arc<Choose>),
}

type Choose = dyn Fn(&TunnelEnd, Side) -> Option<CloseFrame> + Send + Sync;

/// What a side is sent at the end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A Close.
    Close(CloseFrame),
    /// The end of its connection, without a Close.
    EndOfStream,
}

impl ClosePolicy {
    /// No Close to clients, 1001 to upstreams. The default.
    #[must_use]
    pub const fn transparent() -> Self {
        Self(Policy::Transparent)
    }

    /// Like [`transparent`](Self::transparent), but 1012, "service restart", to clients at a drain and at the maximum
    /// lifetime, for clients that reconnect at this code without a delay or an error message.
    #[must_use]
    pub const fn service_restart() -> Self {
        Self(Policy::ServiceRestart)
    }

    /// A Close with the reason of the end to both sides: 1001, or 1011 to the client of an upstream that has gone.
    #[must_use]
    pub const fn going_away() -> Self {
        Self(Policy::GoingAway)
    }

    /// The Close that `choose` returns for an end and the side that is notified; `None` for the end of its connection
    /// without a Close.
    ///
    /// If the connection of a side ends without a Close, the end is [`TunnelEnd::Closed`] with `first` as that side. Called
    /// by the task of the tunnel, and must not block.
    ///
    /// ```
    /// use tower_upgrade_proxy::{CloseCode, CloseFrame, ClosePolicy, Side, TunnelEnd};
    ///
    /// // 1013, "try again later", to clients of a server that stops; everything else as by default.
    /// let policy = ClosePolicy::from_fn(|end, to| match (end, to) {
    ///     (TunnelEnd::Drained, Side::Client) => Some(CloseFrame::new(CloseCode::TRY_AGAIN_LATER)),
    ///     _ => ClosePolicy::transparent().close(end, to),
    /// });
    /// ```
    #[must_use]
    pub fn from_fn(choose: impl Fn(&TunnelEnd, Side) -> Option<CloseFrame> + Send + Sync + 'static) -> Self {
        Self(Policy::Custom(Arc::new(choose)))
    }

    /// Returns the Close that `to` is sent at `end`. `None` if its connection ends without one, or if it is not notified.
    #[must_use]
    pub fn close(&self, end: &TunnelEnd, to: Side) -> Option<CloseFrame> {
        match self.notice(end, None, to) {
            Some(Notice::Close(close)) => Some(close),
            _ => None,
        }
    }

    /// Returns the notice for `to` at `end`, `None` if it gets none. `requested` is the Close of the drain.
    pub(super) fn notice(&self, end: &TunnelEnd, requested: Option<&CloseFrame>, to: Side) -> Option<Notice> {
        let close = match (end, requested) {
            (TunnelEnd::Drained, Some(close)) => Some(close.clone()),
            _ if cause(end) == Some(to) => Some(violation(end)?),
            _ if !is_notified(end, to) => return None,
            _ => self.0.close(end, to),
        };
        match (close, end) {
            (Some(close), _) => Some(Notice::Close(close)),
            // The upstream sees the same as without a proxy, a reset included.
            (None, TunnelEnd::Failed { side: Side::Client, .. }) => None,
            (None, _) => Some(Notice::EndOfStream),
        }
    }
}

impl Policy {
    fn close(&self, end: &TunnelEnd, to: Side) -> Option<CloseFrame> {
        match (self, to) {
            (Self::Custom(choose), _) => choose(end, to),
            (Self::ServiceRestart, Side::Client) => match end {
                TunnelEnd::Drained => Some(CloseFrame::new(CloseCode::SERVICE_RESTART)),
                TunnelEnd::LifetimeReached => {
                    Some(CloseFrame::from_static(CloseCode::SERVICE_RESTART, LIFETIME))
                }
                _ => None,
            },
            (Self::Transparent, Side::Client) => None,
            (Self::Transparent | Self::ServiceRestart, Side::Upstream) => {
                Some(CloseFrame::from_static(CloseCode::GOING_AWAY, reason(end)))
            }
            (Self::GoingAway, _) => going_away(end, to),
        }
    }
}

fn going_away(end: &TunnelEnd, to: Side) -> Option<CloseFrame> {
    match (end, to) {
        (TunnelEnd::TooBig { .. } | TunnelEnd::InvalidFraming { .. }, _) => violation(end),
        (TunnelEnd::Closed { .. } | TunnelEnd::Failed { .. }, Side::Upstream) => None,
        (
            TunnelEnd::Closed { .. } | TunnelEnd::Failed { .. } | TunnelEnd::KeepAliveTimeout { .. },
            Side::Client,
        ) => Some(CloseFrame::from_static(CloseCode::INTERNAL_ERROR, "the upstream has gone")),
        _ => Some(CloseFrame::from_static(CloseCode::GOING_AWAY, reason(end))),
    }
}

/// Returns true if `to` gets a notice at `end`: it has not caused the end itself, and the other side has not just ended
/// its half of the connection.
fn is_notified(end: &TunnelEnd, to: Side) -> bool {
    match end {
        TunnelEnd::IdleTimeout | TunnelEnd::LifetimeReached | TunnelEnd::Drained => true,
        _ => cause(end) == Some(to.other()),
    }
}

/// Returns the side that has caused `end`.
fn cause(end: &TunnelEnd) -> Option<Side> {
    match *end {
        TunnelEnd::Closed { first: side }
        | TunnelEnd::Failed { side, .. }
        | TunnelEnd::KeepAliveTimeout { side }
        | TunnelEnd::TooBig { side }
        | TunnelEnd::InvalidFraming { side, .. } => Some(side),
        _ => None,
    }
}

/// Returns the Close for a side that broke a rule.
fn violation(end: &TunnelEnd) -> Option<CloseFrame> {
    match end {
        TunnelEnd::TooBig { .. } => Some(CloseFrame::from_static(CloseCode::TOO_BIG, "message too big")),
        TunnelEnd::InvalidFraming { .. } => {
            Some(CloseFrame::from_static(CloseCode::PROTOCOL_ERROR, "invalid framing"))
        }
        _ => None,
    }
}

/// Returns the reason in a Close with 1001.
fn reason(end: &TunnelEnd) -> &'static str {
    match end {
        TunnelEnd::IdleTimeout => "idle timeout",
        TunnelEnd::LifetimeReached => LIFETIME,
        TunnelEnd::Drained => "going away",
        _ => "the client has gone",
    }
}

/// The reason in a Close at the maximum lifetime.
const LIFETIME: &str = "maximum lifetime reached";

impl Default for ClosePolicy {
    fn default() -> Self {
        Self::transparent()
    }
}

impl fmt::Debug for ClosePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Policy::Transparent => "ClosePolicy::transparent",
            Policy::ServiceRestart => "ClosePolicy::service_restart",
            Policy::GoingAway => "ClosePolicy::going_away",
            Policy::Custom(_) => "ClosePolicy::from_fn",
        })
    }
}

impl PartialEq for Policy {
    /// Two functions are equal if one is a clone of the other.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Custom(choose), Self::Custom(other)) => Arc::ptr_eq(choose, other),
            (Self::Transparent, Self::Transparent)
            | (Self::ServiceRestart, Self::ServiceRestart)
            | (Self::GoingAway, Self::GoingAway) => true,
            _ => false,
        }
    }
}

impl Eq for Policy {}
