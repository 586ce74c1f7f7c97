//! Number of requests of one connection (nginx's `keepalive_requests`).

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Count of the requests of one connection.
pub(crate) struct Requests {
    number: AtomicUsize,
    limit: NonZeroUsize,
    exhausted: Notify,
}

impl Requests {
    pub(crate) fn new(limit: NonZeroUsize) -> Self {
        Self { number: AtomicUsize::new(0), limit, exhausted: Notify::new() }
    }

    /// Adds a request. Returns true if it is the last one of the connection.
    pub(crate) fn add(&self) -> bool {
        let is_last = self.number.fetch_add(1, Ordering::Relaxed) + 1 >= self.limit.get();
        if is_last {
            self.exhausted.notify_one();
        }
        is_last
    }

    pub(crate) fn number(&self) -> usize {
        self.number.load(Ordering::Relaxed)
    }

    /// Ready when the last request has arrived.
    pub(crate) async fn exhausted(&self) {
        self.exhausted.notified().await;
    }
}
