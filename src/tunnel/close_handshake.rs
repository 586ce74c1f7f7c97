//! The end of a tunnel while both connections are still there
//! ([RFC 6455, 7](https://www.rfc-editor.org/rfc/rfc6455#section-7)).
//!
//! Each side of a WebSocket is sent a Close, and has the close timeout to answer it. In any other protocol only a
//! drain has a close handshake: the upstream gets the end of the client's bytes, and has the grace to finish.
//! Meanwhile both directions are polled as before.
//!
//! | [`SideState`] | event | next |
//! | --- | --- | --- |
//! | `Closing` | it has ended, and everything for it, with its Close, is written and flushed | `Released` |
//! | `Closing`, `Released` | its connection fails | `Abandoned` |
//! | `Abandoned` | any | `Abandoned` |
//!
//! The tunnel ends when neither side is `Closing`, or at the deadline.

use std::{pin::Pin, task::Context};

use tokio::{io::AsyncWrite, time::Instant};

use super::{
    Side, Sides, TunnelConfig, TunnelEnd,
    direction::{CopyError, Direction, Status},
    frame_relay::FrameRelay,
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
}

/// State of a side. The [module documentation](self) has the state table.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SideState {
    /// The side has not ended, or bytes for it are not written yet.
    Closing,
    /// The connection is shut down, and nothing more is written to it.
    Released,
    /// The connection has failed: nothing is read from it, and nothing is written to it.
    Abandoned,
}

impl CloseHandshake {
    /// Queues a Close for each side as the close policy demands, and abandons a side that is the reason of the
    /// end.
    ///
    /// # Errors
    ///
    /// The end, if no side gets a Close and the tunnel is not drained: then there is nothing to wait for.
    pub(super) fn begin(
        end: TunnelEnd,
        request: Option<ShutdownRequest>,
        config: &TunnelConfig,
        directions: &mut Sides<Direction>,
        now: Instant,
    ) -> Result<Self, TunnelEnd> {
        let drained = request.as_ref().map(|request| &request.close);
        let mut is_queued = false;
        for side in Side::BOTH {
            if let Some(close) = config.close_policy.at(&end, drained, side)
                && let Some(relay) = directions[side.other()].frame_relay_mut()
            {
                is_queued |= relay.inject_close(close);
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
        let mut handshake = Self { end, deadline, sides: Sides::from_fn(|_| SideState::Closing) };
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
        let has_closed = |side: Side| directions[side].is_ended() && directions[side.other()].is_flushed;
        let closed = Sides::from_fn(|side| self.sides[side] == SideState::Closing && has_closed(side));
        if failed.client || failed.upstream {
            Some(Next::Abandon(failed))
        } else if closed.client || closed.upstream {
            Some(Next::Release(closed))
        } else if self.sides.all(|state| *state != SideState::Closing) {
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
