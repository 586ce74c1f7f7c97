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
};
use crate::time::deadline;

/// A tunnel that ends, and waits for its sides to agree.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) end: TunnelEnd,
    /// When it waits no longer.
    pub(super) by: Instant,
    /// Nothing more is expected of it.
    client: bool,
    upstream: bool,
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
        up: &mut Direction,
        down: &mut Direction,
    ) -> Result<Self, TunnelEnd> {
        let drained = order.as_ref().map(|order| &order.close);
        let mut told = false;
        for (side, direction) in [(Side::Client, &mut *down), (Side::Upstream, &mut *up)] {
            if let Some(close) = config.closes.at(&end, drained, side)
                && let Some(lane) = direction.lane_mut()
            {
                told |= lane.close(close);
            }
        }
        let dead = match end {
            TunnelEnd::Drained { .. } => {
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
        let mut closing = Self { end, by, client: false, upstream: false };
        if let Some(side) = dead {
            closing.bury(side, up, down);
        }
        Ok(closing)
    }

    /// Waits no longer than this.
    pub(super) fn hurry(&mut self, by: Instant) {
        self.by = self.by.min(by);
    }

    /// Takes note of a side whose connection has failed. False when none has, or that was known.
    pub(super) fn mourn(
        &mut self,
        copied: &Copied,
        (reader, writer): (Side, Side),
        up: &mut Direction,
        down: &mut Direction,
    ) -> bool {
        match copied {
            Poll::Ready(Err(Broken::Read(_))) => self.bury(reader, up, down),
            Poll::Ready(Err(Broken::Write(_))) => self.bury(writer, up, down),
            _ => false,
        }
    }

    /// Nothing is read from a side any more, nor written to it.
    fn bury(&mut self, side: Side, up: &mut Direction, down: &mut Direction) -> bool {
        let (over, from, to) = match side {
            Side::Client => (&mut self.client, up, down),
            Side::Upstream => (&mut self.upstream, down, up),
        };
        from.cut_off();
        to.mute();
        !std::mem::replace(over, true)
    }

    /// Lets go of a side that has been told, and has answered, while the other takes its time. True once both
    /// have.
    pub(super) fn is_over<C, U>(
        &mut self,
        cx: &mut Context<'_>,
        (client, upstream): (&mut C, &mut U),
        (up, down): (&mut Direction, &mut Direction),
    ) -> bool
    where
        C: AsyncWrite + Unpin,
        U: AsyncWrite + Unpin,
    {
        if !self.client && up.is_heard() && down.is_told() {
            self.client = true;
            // The other side may say more behind its Close.
            down.mute();
            let _ = Pin::new(client).poll_shutdown(cx);
        }
        if !self.upstream && down.is_heard() && up.is_told() {
            self.upstream = true;
            up.mute();
            let _ = Pin::new(upstream).poll_shutdown(cx);
        }
        self.client && self.upstream
    }
}
