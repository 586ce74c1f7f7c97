//! Timeouts between the requests of an HTTP/1.1 connection.
//!
//! hyper has one timeout for the wait for a request and for the rest of its head, and starts it when the response before has
//! ended. [`HeadTimer`] is its timer: the wait ends after the keep-alive timeout, and the client timeout starts with the head's
//! first byte. The first head of a connection has the client timeout only. During a drain the rest of a head has little time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;
use tokio::time;
use tower_upgrade_proxy::BytesReceived;

/// Time for the rest of a head, or of a preface, when a drain begins.
pub(crate) const DRAIN_TIME: Duration = Duration::from_millis(300);

/// Timer of one connection.
pub(crate) struct HeadTimer {
    client_timeout: Duration,
    keep_alive: Duration,
    received: BytesReceived,
    is_in_use: AtomicBool,
    is_draining: Arc<AtomicBool>,
}

impl HeadTimer {
    pub(crate) fn new(client_timeout: Duration, keep_alive: Duration, received: BytesReceived) -> Self {
        let (is_in_use, is_draining) = (AtomicBool::new(false), Arc::default());
        Self { client_timeout, keep_alive, received, is_in_use, is_draining }
    }

    /// Flag that a drain sets before it polls the connection.
    pub(crate) fn is_draining(&self) -> &Arc<AtomicBool> {
        &self.is_draining
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        TokioTimer::new().sleep(duration)
    }

    /// hyper's only use of the timer is for heads.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let is_first = !self.is_in_use.swap(true, Ordering::Relaxed);
        let sleep = match is_first {
            true => time::sleep_until(deadline.into()),
            false => time::sleep(self.keep_alive),
        };
        Box::pin(NextHead {
            sleep: Box::pin(sleep),
            client_timeout: self.client_timeout,
            idle: (!is_first).then(|| (self.received.clone(), self.received.get())),
            is_draining: Some(Arc::clone(&self.is_draining)),
        })
    }
}

/// Timeout of the wait for a request.
struct NextHead {
    sleep: Pin<Box<time::Sleep>>,
    client_timeout: Duration,
    /// The counter, and its value at the end of the response before. `None` after the head's first byte.
    idle: Option<(BytesReceived, u64)>,
    /// `None` once a drain has begun.
    is_draining: Option<Arc<AtomicBool>>,
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
        if self.is_draining.as_ref().is_some_and(|is_draining| is_draining.load(Ordering::Relaxed)) {
            self.is_draining = None;
            self.sleep = Box::pin(time::sleep(DRAIN_TIME));
        }
        self.sleep.as_mut().poll(cx)
    }
}
