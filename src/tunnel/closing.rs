//! How a tunnel's two sides are told that it ends
//! ([RFC 6455, 7](https://www.rfc-editor.org/rfc/rfc6455#section-7)).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{io::AsyncWrite, time::Instant};

use super::{
    Side, TunnelConfig, TunnelEnd,
    copy::{Broken, Copied, Direction},
    lane::Lane,
    live::Order,
    sides::Sides,
};
use crate::time::deadline;

/// A tunnel that ends, and waits for its sides to agree.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) end: TunnelEnd,
    /// When it waits no longer.
    pub(super) by: Instant,
    /// Nothing more is expected of these.
    over: Sides<bool>,
}

impl Closing {
    /// Has the sides told of `end`.
    ///
    /// # Errors
    ///
    /// The end, when nobody is to be told, or can be: there is nothing to wait for.
    pub(super) fn begin(
        end: TunnelEnd,
        order: Option<Order>,
        config: &TunnelConfig,
        directions: &mut Sides<Direction>,
    ) -> Result<Self, TunnelEnd> {
        let drained = order.as_ref().map(|order| &order.close);
        let mut told = false;
        for side in Side::BOTH {
            if let Some(close) = config.closes.at(&end, drained, side)
                && let Some(lane) = directions[side.other()].lane_mut()
            {
                told |= lane.close(close);
            }
        }
        let dead = match end {
            TunnelEnd::Drained { .. } => {
                let up = &mut directions.client;
                if up.lane().is_none_or(Lane::has_given_up) {
                    // It has no other way to say it: the upstream may finish, and then end it.
                    up.cut_off();
                }
                None
            }
            _ if !told => return Err(end),
            TunnelEnd::Failed { side, .. } | TunnelEnd::KeepAliveTimeout { side } => Some(side),
            _ => None,
        };
        let now = Instant::now();
        let by = match (order, &end) {
            (Some(order), TunnelEnd::Drained { .. }) => order.by,
            _ => deadline(now, config.close),
        };
        let mut closing = Self { end, by, over: Sides::default() };
        if let Some(side) = dead {
            closing.bury(side, directions);
        }
        Ok(closing)
    }

    /// Waits no longer than this.
    pub(super) fn hurry(&mut self, by: Instant) {
        self.by = self.by.min(by);
    }

    /// Takes note of the sides whose connections have failed. False when none has, or that was known.
    pub(super) fn mourn(&mut self, copied: &Sides<Copied>, directions: &mut Sides<Direction>) -> bool {
        let mut news = false;
        for side in Side::BOTH {
            news |= match &copied[side] {
                Poll::Ready(Err(Broken::Read(_))) => self.bury(side, directions),
                Poll::Ready(Err(Broken::Write(_))) => self.bury(side.other(), directions),
                _ => false,
            };
        }
        news
    }

    /// Nothing is read from a side any more, nor written to it.
    fn bury(&mut self, side: Side, directions: &mut Sides<Direction>) -> bool {
        let (from, to) = directions.split_mut(side);
        from.cut_off();
        to.mute();
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
            if !self.over[side] && from.is_heard() && to.is_told() {
                self.over[side] = true;
                // The other side may say more behind its Close.
                to.mute();
                let _ = Pin::new(&mut *ends[side]).poll_shutdown(cx);
            }
        }
        self.over.client && self.over.upstream
    }
}
