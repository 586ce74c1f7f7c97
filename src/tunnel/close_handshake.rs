//! The end of a tunnel while both connections are still there
//! ([RFC 6455, 7](https://www.rfc-editor.org/rfc/rfc6455#section-7)).
//!
//! Each side of a WebSocket is notified, by a Close or by the end of the stream, and has the close timeout to end too. In any
//! other protocol only a drain has a close handshake: the upstream gets the end of the client's bytes, and has the grace to
//! finish. Meanwhile both directions are polled as before.
//!
//! | [`SideState`] | event | next |
//! | --- | --- | --- |
//! | `Ending` | everything for it is written and flushed, and no message of it is relayed | `Closing` |
//! | `Closing`, after `Ending` | the close timeout | `Released` |
//! | `Closing`, `Ending` | it has ended, and everything for it, with its Close, is written and flushed | `Released` |
//! | `Closing`, `Ending`, `Released` | its connection fails | `Abandoned` |
//! | `Abandoned` | any | `Abandoned` |
//!
//! The tunnel ends when both sides are `Released` or `Abandoned`, or at the deadline.
//!
//! A message that is being relayed when a drain or the maximum lifetime ends the tunnel is completed. At the other ends
//! nothing more of it will arrive.

use std::{pin::Pin, task::Context, time::Duration};

use tokio::{io::AsyncWrite, time::Instant};

use super::{
    Side, Sides, TunnelConfig, TunnelEnd,
    close_policy::Notice,
    direction::{CopyError, Direction, Status},
    frame_relay::FrameRelay,
    frames::Boundary,
    lifecycle::Next,
    shared::ShutdownRequest,
};
use crate::time;

/// A tunnel that ends, and waits for its sides to close.
#[derive(Debug)]
pub(super) struct CloseHandshake {
    end: TunnelEnd,
    deadline: Instant,
    sides: Sides<SideState>,
    /// Time for a side that is shut down without a Close to end too.
    linger: Duration,
    /// End of that time.
    lingers_until: Sides<Option<Instant>>,
}

/// State of a side. The [module documentation](self) has the state table.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SideState {
    /// The side's connection is to be shut down without a Close.
    Ending,
    /// The side has not ended, or bytes for it are not written yet.
    Closing,
    /// The connection is shut down, and nothing more is written to it.
    Released,
    /// The connection has failed: nothing is read from it, and nothing is written to it.
    Abandoned,
}

impl CloseHandshake {
    /// Queues a notice for each side as the close policy demands, and abandons a side that is the reason of the
    /// end.
    ///
    /// # Errors
    ///
    /// The end, if no side is notified and the tunnel is not drained: then there is nothing to wait for.
    pub(super) fn begin(
        end: TunnelEnd,
        request: Option<ShutdownRequest>,
        config: &TunnelConfig,
        directions: &mut Sides<Direction>,
        now: Instant,
    ) -> Result<Self, TunnelEnd> {
        let requested = request.as_ref().and_then(|request| request.close.as_ref());
        let boundary = match end {
            TunnelEnd::Drained | TunnelEnd::LifetimeReached => Boundary::Message,
            _ => Boundary::Frame,
        };
        let mut is_queued = false;
        let mut sides = Sides::from_fn(|_| SideState::Closing);
        for side in Side::BOTH {
            if let Some(notice) = config.close_policy.notice(&end, requested, side)
                && let Some(relay) = directions[side.other()].frame_relay_mut()
                && relay.inject_notice(&notice, boundary)
            {
                is_queued = true;
                if notice == Notice::EndOfStream {
                    sides[side] = SideState::Ending;
                }
            }
        }
        let is_drained = matches!(end, TunnelEnd::Drained);
        if !is_drained && !is_queued {
            return Err(end);
        }
        let from_client = &mut directions.client;
        if is_drained && from_client.frame_relay().is_none_or(FrameRelay::passes_through) {
            // There is no other signal without frames: the upstream may finish, and then end the connection.
            from_client.stop_reading();
        }
        let deadline = match request {
            Some(request) if is_drained => request.deadline,
            _ => time::deadline(now, config.close),
        };
        let dead = match end {
            TunnelEnd::Failed { side, .. } | TunnelEnd::KeepAliveTimeout { side } => Some(side),
            _ => None,
        };
        let (linger, lingers_until) = (config.close, Sides::default());
        let mut handshake = Self { end, deadline, sides, linger, lingers_until };
        handshake.abandon(Sides::from_fn(|side| dead == Some(side)), directions);
        Ok(handshake)
    }

    /// Moves the deadline to `deadline` if that is earlier.
    pub(super) fn shorten(&mut self, deadline: Instant) {
        self.deadline = self.deadline.min(deadline);
    }

    /// Returns the next action, if there is one at once.
    pub(super) fn next(&self, directions: &Sides<Status>) -> Option<Next> {
        let failed = self.failed(directions);
        let is_flushed = |side: Side| directions[side.other()].is_flushed;
        let is_open = |side: Side| matches!(self.sides[side], SideState::Closing | SideState::Ending);
        let closed = Sides::from_fn(|side| is_open(side) && directions[side].is_ended() && is_flushed(side));
        let notified = Sides::from_fn(|side| {
            self.sides[side] == SideState::Ending && is_flushed(side) && directions[side].is_between_messages
        });
        if failed.client || failed.upstream {
            Some(Next::Abandon(failed))
        } else if closed.client || closed.upstream {
            Some(Next::Release(closed))
        } else if notified.client || notified.upstream {
            Some(Next::Shutdown(notified))
        } else if !Side::BOTH.into_iter().any(is_open) {
            Some(Next::End(self.end.clone()))
        } else {
            None
        }
    }

    /// Returns the sides whose connections have failed, and which are not abandoned yet.
    pub(super) fn failed(&self, directions: &Sides<Status>) -> Sides<bool> {
        let failed = |side: Side| {
            matches!(directions[side].error, Some(CopyError::Read(_)))
                || matches!(directions[side.other()].error, Some(CopyError::Write(_)))
        };
        Sides::from_fn(|side| self.sides[side] != SideState::Abandoned && failed(side))
    }

    /// Returns the end of the time for both sides to close.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the end of the time for `side` to end, after it was shut down without a Close.
    pub(super) fn lingers_until(&self, side: Side) -> Option<Instant> {
        self.lingers_until[side].filter(|_| self.sides[side] == SideState::Closing)
    }

    /// Returns the action at the deadline.
    pub(super) fn timeout(&self) -> Next {
        Next::End(match &self.end {
            TunnelEnd::Drained => TunnelEnd::DrainTimeout,
            end => end.clone(),
        })
    }

    /// Stops reading from `sides`, and writing to them.
    pub(super) fn abandon(&mut self, sides: Sides<bool>, directions: &mut Sides<Direction>) {
        for side in Side::BOTH.into_iter().filter(|side| sides[*side]) {
            let (from, to) = directions.split_mut(side);
            from.stop_reading();
            to.stop_writing();
            self.sides[side] = SideState::Abandoned;
        }
    }

    /// Shuts down the connections of `sides`, which are notified by that.
    pub(super) fn shut_down(
        &mut self,
        sides: Sides<bool>,
        cx: &mut Context<'_>,
        mut connections: Sides<&mut (dyn AsyncWrite + Unpin)>,
        now: Instant,
    ) {
        for side in Side::BOTH.into_iter().filter(|side| sides[*side]) {
            let _ = Pin::new(&mut *connections[side]).poll_shutdown(cx);
            self.sides[side] = SideState::Closing;
            self.lingers_until[side] = Some(time::deadline(now, self.linger));
        }
    }

    /// Shuts down the connections of `sides`, without waiting for a side that has not closed yet.
    pub(super) fn release(
        &mut self,
        sides: Sides<bool>,
        cx: &mut Context<'_>,
        mut connections: Sides<&mut (dyn AsyncWrite + Unpin)>,
        directions: &mut Sides<Direction>,
    ) {
        for side in Side::BOTH.into_iter().filter(|side| sides[*side]) {
            // The other side may send more behind its Close.
            directions[side.other()].stop_writing();
            let _ = Pin::new(&mut *connections[side]).poll_shutdown(cx);
            self.sides[side] = SideState::Released;
        }
    }
}
