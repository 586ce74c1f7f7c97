//! Counts of a crowd.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::Result;

/// Events of all clients of a crowd.
pub(crate) struct Counts {
    start: Instant,
    pub(crate) opened: Count,
    /// Refusals with 503.
    pub(crate) unavailable: Count,
    /// Other refusals.
    pub(crate) refused: Count,
    /// Handshakes that got no response: connections that failed or ended.
    pub(crate) failed: Count,
    pub(crate) echoed: Count,
    /// Received Closes.
    pub(crate) closes: Count,
    /// Tunnels ended by the other side, with or without a Close before.
    pub(crate) ended: Count,
    /// Those of them that ended with a reset.
    pub(crate) reset: Count,
    /// Tunnels that are open now, of clients that retry.
    pub(crate) connected: AtomicUsize,
    first_end: AtomicU64,
    last_end: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            opened: Count::default(),
            unavailable: Count::default(),
            refused: Count::default(),
            failed: Count::default(),
            echoed: Count::default(),
            closes: Count::default(),
            ended: Count::default(),
            reset: Count::default(),
            connected: AtomicUsize::new(0),
            first_end: AtomicU64::new(u64::MAX),
            last_end: AtomicU64::new(0),
        }
    }
}

impl Counts {
    /// Counts the end of a tunnel, and its time.
    pub(crate) fn end(&self, is_reset: bool) {
        let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.first_end.fetch_min(now, Ordering::Relaxed);
        self.last_end.fetch_max(now, Ordering::Relaxed);
        self.ended.add(1);
        if is_reset {
            self.reset.add(1);
        }
    }

    /// Counts a response that refuses a tunnel.
    pub(crate) fn refuse(&self, status: u16) {
        match status {
            503 => self.unavailable.add(1),
            _ => self.refused.add(1),
        }
    }

    /// Time from the first end to the last.
    pub(crate) fn ending_time(&self) -> Duration {
        let [first, last] = [&self.first_end, &self.last_end].map(|end| end.load(Ordering::Relaxed));
        Duration::from_micros(last.saturating_sub(first))
    }

    /// Handshakes with an outcome.
    pub(crate) fn answered(&self) -> usize {
        self.opened.get() + self.unavailable.get() + self.refused.get() + self.failed.get()
    }

    /// Waits until the condition holds. Returns the time that it took, or an error with the counts after `limit`.
    pub(crate) async fn wait(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Self) -> bool,
    ) -> Result<Duration> {
        let start = Instant::now();
        while !holds(self) {
            if start.elapsed() > limit {
                return Err(format!("not within {limit:?}: {what} ({})", self.list()).into());
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(start.elapsed())
    }

    /// All counts, for messages.
    pub(crate) fn list(&self) -> String {
        format!(
            "{} opened, {} answered 503, {} refused, {} failed, {} echoed, {} closes, {} ended, {} of them reset",
            self.opened.get(),
            self.unavailable.get(),
            self.refused.get(),
            self.failed.get(),
            self.echoed.get(),
            self.closes.get(),
            self.ended.get(),
            self.reset.get()
        )
    }
}

/// Number of events.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn add(&self, number: usize) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
