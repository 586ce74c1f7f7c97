//! The timeouts of a tunnel, on one timer.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use pin_project_lite::pin_project;
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

use super::{TunnelConfig, TunnelEnd};

pin_project! {
    /// Knows when the tunnel is to end, and wakes it then.
    ///
    /// A byte only moves a timestamp. The timer is set once and, when it fires too early because
    /// bytes have moved since, is set again for the time that is left. In between it is not
    /// touched, as long as the same task is to be woken.
    pub(super) struct Clock {
        opened: Instant,
        last_byte: Instant,
        config: Arc<TunnelConfig>,
        // Whom the timer wakes.
        wakes: Option<Waker>,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Clock {
    pub(super) fn new(config: Arc<TunnelConfig>) -> Self {
        let now = Instant::now();
        Self { opened: now, last_byte: now, config, timer: None, wakes: None }
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
                Some(timer) if timer.deadline() > deadline => {
                    timer.reset(deadline);
                    *this.wakes = None;
                }
                Some(timer) if !timer.is_elapsed() && is_same(this.wakes.as_ref(), cx) => {
                    return Poll::Pending;
                }
                Some(mut timer) => {
                    *this.wakes = Some(cx.waker().clone());
                    // Unconstrained: out of budget, it would not have learned whom to wake.
                    ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
                    if Instant::now() >= deadline {
                        return Poll::Ready(end);
                    }
                    timer.reset(deadline);
                    *this.wakes = None;
                }
            }
        }
    }

    /// The earliest timeout, and what it means.
    fn deadline(&self, half_closed: bool) -> Option<(Instant, TunnelEnd)> {
        let TunnelConfig { idle, half_close, lifetime } = *self.config;
        let half_close = half_close.filter(|_| half_closed);
        [
            (lifetime.and_then(|lifetime| self.opened.checked_add(lifetime)), TunnelEnd::LifetimeReached),
            (half_close.and_then(|wait| self.last_byte.checked_add(wait)), TunnelEnd::HalfCloseTimeout),
            (idle.and_then(|wait| self.last_byte.checked_add(wait)), TunnelEnd::IdleTimeout),
        ]
        .into_iter()
        .filter_map(|(deadline, end)| deadline.map(|deadline| (deadline, end)))
        .min_by_key(|(deadline, _)| *deadline)
    }
}

fn is_same(known: Option<&Waker>, cx: &Context<'_>) -> bool {
    known.is_some_and(|known| known.will_wake(cx.waker()))
}
