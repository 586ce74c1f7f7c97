//! Timeouts between the requests of an HTTP/1.1 connection.
//!
//! hyper has one timeout for the wait for a request and for the rest of its head, and starts it when the response before has
//! ended. [`HeadTimer`] is its timer: the wait ends after the keep-alive timeout, and the client timeout starts with the head's
//! first byte. The first head of a connection has the client timeout only.

use std::{
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use tokio::time;
use tower_upgrade_proxy::BytesReceived;

/// Timer of one connection.
pub(crate) struct HeadTimer {
    client_timeout: Duration,
    keep_alive: Duration,
    received: BytesReceived,
    is_in_use: AtomicBool,
}

impl HeadTimer {
    pub(crate) fn new(client_timeout: Duration, keep_alive: Duration, received: BytesReceived) -> Self {
        Self { client_timeout, keep_alive, received, is_in_use: AtomicBool::new(false) }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration)
    }

    /// hyper's only use of the timer is for heads.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        if !self.is_in_use.swap(true, Ordering::Relaxed) {
            return TokioTimer::new().sleep_until(deadline);
        }
        Box::pin(NextHead {
            sleep: Box::pin(time::sleep(self.keep_alive)),
            client_timeout: self.client_timeout,
            idle: Some((self.received.clone(), self.received.get())),
        })
    }
}

/// Timeout of the wait for a further request.
struct NextHead {
    sleep: Pin<Box<time::Sleep>>,
    client_timeout: Duration,
    /// The counter, and its value at the end of the response before. `None` after the head's first byte.
    idle: Option<(BytesReceived, u64)>,
}

impl Sleep for NextHead {}

impl Future for NextHead {
    type Output = ();

    /// hyper polls it after each read that did not complete the head.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.idle.as_ref().is_some_and(|(received, before)| received.get() != *before) {
            self.idle = None;
            self.sleep = Box::pin(time::sleep(self.client_timeout));
        }
        self.sleep.as_mut().poll(cx)
    }
}
