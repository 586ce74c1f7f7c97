//! The timeouts of a tunnel, on one timer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{TunnelConfig, TunnelEnd};

pin_project! {
    /// Knows when the tunnel is to end, and wakes it then.
    ///
    /// A byte only moves a timestamp. The timer is set once and, when it fires too early because
    /// bytes have moved since, is set again for the time that is left.
    pub(super) struct Clock {
        opened: Instant,
        last_byte: Instant,
        idle: Option<Duration>,
        half_close: Option<Duration>,
        lifetime: Option<Duration>,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Clock {
    pub(super) fn new(config: &TunnelConfig) -> Self {
        let now = Instant::now();
        let TunnelConfig { idle, half_close, lifetime } = *config;
        Self { opened: now, last_byte: now, idle, half_close, lifetime, timer: None }
    }

    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Ready with the reason when a timeout has run out. `moved` says that bytes moved just now.
    pub(super) fn poll_expired(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        moved: bool,
        half_closed: bool,
    ) -> Poll<TunnelEnd> {
        if moved {
            *self.as_mut().project().last_byte = Instant::now();
        }
        let Some((deadline, end)) = self.deadline(half_closed) else { return Poll::Pending };
        let mut this = self.project();
        loop {
            match this.timer.as_mut().as_pin_mut() {
                None => this.timer.set(Some(sleep_until(deadline))),
                Some(timer) if timer.deadline() > deadline => timer.reset(deadline),
                Some(mut timer) => {
                    ready!(timer.as_mut().poll(cx));
                    if Instant::now() >= deadline {
                        return Poll::Ready(end);
                    }
                    timer.reset(deadline);
                }
            }
        }
    }

    /// The earliest timeout, and what it means.
    fn deadline(&self, half_closed: bool) -> Option<(Instant, TunnelEnd)> {
        let half_close = self.half_close.filter(|_| half_closed);
        [
            (
                self.lifetime.and_then(|lifetime| self.opened.checked_add(lifetime)),
                TunnelEnd::LifetimeReached,
            ),
            (half_close.and_then(|wait| self.last_byte.checked_add(wait)), TunnelEnd::HalfCloseTimeout),
            (self.idle.and_then(|wait| self.last_byte.checked_add(wait)), TunnelEnd::IdleTimeout),
        ]
        .into_iter()
        .filter_map(|(deadline, end)| deadline.map(|deadline| (deadline, end)))
        .min_by_key(|(deadline, _)| *deadline)
    }
}
