//! How a tunnel's two sides are told that it ends
//! ([RFC 6455, 7](https://www.rfc-editor.org/rfc/rfc6455#section-7)).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{io::AsyncWrite, time::Instant};

use super::{
    Side, Sides, TunnelConfig, TunnelEnd,
    direction::{CopyError, Direction, PollCopy},
    frame_relay::FrameRelay,
    shared::ShutdownRequest,
};
use crate::time;

/// A tunnel that ends, and waits for its sides to agree.
#[derive(Debug)]
pub(super) struct CloseHandshake {
    pub(super) end: TunnelEnd,
    /// When it waits no longer.
    pub(super) deadline: Instant,
    /// Nothing more is expected of these.
    over: Sides<bool>,
}

impl CloseHandshake {
    /// Has the sides told of `end`.
    ///
    /// # Errors
    ///
    /// The end, when nobody is to be told, or can be: there is nothing to wait for.
    pub(super) fn begin(
        end: TunnelEnd,
        request: Option<ShutdownRequest>,
        config: &TunnelConfig,
        directions: &mut Sides<Direction>,
    ) -> Result<Self, TunnelEnd> {
        let drained = request.as_ref().map(|request| &request.close);
        let mut told = false;
        for side in Side::BOTH {
            if let Some(close) = config.close_policy.at(&end, drained, side)
                && let Some(relay) = directions[side.other()].frame_relay_mut()
            {
                told |= relay.inject_close(close);
            }
        }
        let dead = match end {
            TunnelEnd::Drained => {
                let up = &mut directions.client;
                if up.frame_relay().is_none_or(FrameRelay::passes_through) {
                    // It has no other way to say it: the upstream may finish, and then end it.
                    up.stop_reading();
                }
                None
            }
            _ if !told => return Err(end),
            TunnelEnd::Failed { side, .. } | TunnelEnd::KeepAliveTimeout { side } => Some(side),
            _ => None,
        };
        let now = Instant::now();
        let deadline = match (request, &end) {
            (Some(request), TunnelEnd::Drained) => request.deadline,
            _ => time::deadline(now, config.close),
        };
        let mut closing = Self { end, deadline, over: Sides::default() };
        if let Some(side) = dead {
            closing.abandon(side, directions);
        }
        Ok(closing)
    }

    /// Waits no longer than this.
    pub(super) fn shorten(&mut self, deadline: Instant) {
        self.deadline = self.deadline.min(deadline);
    }

    /// Takes note of the sides whose connections have failed. False when none has, or that was known.
    pub(super) fn on_error(&mut self, copied: &Sides<PollCopy>, directions: &mut Sides<Direction>) -> bool {
        let mut news = false;
        for side in Side::BOTH {
            news |= match &copied[side] {
                Poll::Ready(Err(CopyError::Read(_))) => self.abandon(side, directions),
                Poll::Ready(Err(CopyError::Write(_))) => self.abandon(side.other(), directions),
                _ => false,
            };
        }
        news
    }

    /// Nothing is read from a side any more, nor written to it.
    fn abandon(&mut self, side: Side, directions: &mut Sides<Direction>) -> bool {
        let (from, to) = directions.split_mut(side);
        from.stop_reading();
        to.stop_writing();
        !std::mem::replace(&mut self.over[side], true)
    }

    /// Lets go of a side that has been told, and has answered, while the other takes its time. True once both
    /// have.
    pub(super) fn is_over(
        &mut self,
        cx: &mut Context<'_>,
        mut ends: Sides<&mut (dyn AsyncWrite + Unpin)>,
        directions: &mut Sides<Direction>,
    ) -> bool {
        for side in Side::BOTH {
            let (from, to) = directions.split_mut(side);
            if !self.over[side] && from.is_ended() && to.is_flushed() {
                self.over[side] = true;
                // The other side may say more behind its Close.
                to.stop_writing();
                let _ = Pin::new(&mut *ends[side]).poll_shutdown(cx);
            }
        }
        self.over.client && self.over.upstream
    }
}
