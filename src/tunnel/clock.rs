//! The moments at which a tunnel has something to do although no byte moves, on one timer.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use pin_project_lite::pin_project;
use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

pin_project! {
    /// Wakes the tunnel when the next moment has come.
    ///
    /// A byte only moves a timestamp. The timer is set once and, when it fires too early because
    /// bytes have moved since, is set again for the time that is left. In between it is not
    /// touched, as long as the same task is to be woken and the moment is not an earlier one.
    pub(super) struct Clock {
        // Whom the timer wakes.
        wakes: Option<Waker>,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { timer: None, wakes: None }
    }

    /// Ready from `moment` on.
    pub(super) fn poll_until(mut self: Pin<&mut Self>, cx: &mut Context<'_>, moment: Instant) -> Poll<()> {
        let mut this = self.as_mut().project();
        loop {
            match this.timer.as_mut().as_pin_mut() {
                None => this.timer.set(Some(sleep_until(moment))),
                Some(timer) if timer.deadline() > moment => {
                    timer.reset(moment);
                    *this.wakes = None;
                }
                Some(timer) if !timer.is_elapsed() && is_same(this.wakes.as_ref(), cx) => {
                    return Poll::Pending;
                }
                Some(mut timer) => {
                    *this.wakes = Some(cx.waker().clone());
                    // Unconstrained: out of budget, it would not have learned whom to wake.
                    ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
                    if Instant::now() >= moment {
                        return Poll::Ready(());
                    }
                    timer.reset(moment);
                    *this.wakes = None;
                }
            }
        }
    }
}

fn is_same(known: Option<&Waker>, cx: &Context<'_>) -> bool {
    known.is_some_and(|known| known.will_wake(cx.waker()))
}
