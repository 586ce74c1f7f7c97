//! [`Clock`]: one lazy timer for all deadlines of a tunnel.

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
    /// Timer for the next deadline.
    ///
    /// Bytes only change a timestamp. The timer is set once. If it fires too early, because bytes have moved in
    /// the meantime, it is set again for the rest. Until then it is not touched, as long as the task stays the
    /// same and the deadline does not become earlier.
    pub(super) struct Clock {
        // The waker that the timer has.
        waker: Option<Waker>,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { timer: None, waker: None }
    }

    /// Ready from `deadline` on.
    pub(super) fn poll_until(mut self: Pin<&mut Self>, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let mut this = self.as_mut().project();
        loop {
            match this.timer.as_mut().as_pin_mut() {
                None => this.timer.set(Some(sleep_until(deadline))),
                Some(timer) if timer.deadline() > deadline => {
                    timer.reset(deadline);
                    *this.waker = None;
                }
                Some(timer) if !timer.is_elapsed() && is_same(this.waker.as_ref(), cx) => {
                    return Poll::Pending;
                }
                Some(mut timer) => {
                    *this.waker = Some(cx.waker().clone());
                    // Unconstrained: without budget the timer would not register the waker.
                    ready!(pin!(unconstrained(timer.as_mut())).poll(cx));
                    if Instant::now() >= deadline {
                        return Poll::Ready(());
                    }
                    timer.reset(deadline);
                    *this.waker = None;
                }
            }
        }
    }
}

fn is_same(waker: Option<&Waker>, cx: &Context<'_>) -> bool {
    waker.is_some_and(|waker| waker.will_wake(cx.waker()))
}
