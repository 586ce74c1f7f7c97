//! [`Outlier`]: endpoints whose handshakes and requests fail are not chosen for a while.

use std::time::Duration;

use tokio::time::Instant;

use super::members::Entry;
use crate::time::deadline;

/// Settings for the ejection of endpoints that fail ("outlier detection").
///
/// A failure is a connection that cannot be opened; for upgrades also one that ends or times out before the head of the response, or
/// an invalid response. Any other response is a success, whatever its status. The end of a tunnel is neither. While it is ejected an endpoint is only chosen if there is no
/// other one; its open tunnels stay. After that it is on probation: the next failure ejects it again, for longer.
///
/// ```
/// use std::time::Duration;
/// use tower_upgrade_proxy::{Outlier, Pool};
///
/// let pool = Pool::new(["http://10.0.0.1:9000".parse()?, "http://10.0.0.2:9000".parse()?])
///     .outlier(Outlier::new().failures(3).time(Duration::from_secs(10)));
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Outlier {
    pub(super) failures: u32,
    time: Duration,
    max_time: Duration,
    max_ejected: f64,
}

impl Outlier {
    /// The defaults: after 5 failures in a row for 30 s, at most half of the endpoints at a time.
    #[must_use]
    pub fn new() -> Self {
        let (time, max_time) = (Duration::from_secs(30), Duration::from_secs(300));
        Self { failures: 5, time, max_time, max_ejected: 0.5 }
    }

    /// Sets the number of failures in a row, at least 1. Default 5.
    #[must_use]
    pub fn failures(mut self, number: u32) -> Self {
        self.failures = number.max(1);
        self
    }

    /// Sets the time of the first ejection. The second one in a row is twice as long, the third three times. Default 30 s.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Sets the maximum time of an ejection. Default 300 s.
    #[must_use]
    pub fn max_time(mut self, time: Duration) -> Self {
        self.max_time = time;
        self
    }

    /// Sets the maximum share of the enabled endpoints that are ejected at a time, from 0 to 1. Default 0.5: of three endpoints one.
    #[must_use]
    pub fn max_ejected(mut self, share: f64) -> Self {
        self.max_ejected = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// Ejects the entry at `index`, unless too many are. Returns the time.
    pub(super) fn eject(&self, entries: &mut [Entry], index: usize) -> Option<Duration> {
        let now = Instant::now();
        if entries[index].is_ejected(now) {
            return None;
        }
        let enabled = entries.iter().filter(|entry| entry.is_usable());
        let (number, ejected) = enabled.fold((0, 0), |(number, ejected), entry| {
            (number + 1, ejected + usize::from(entry.is_ejected(now)))
        });
        if (ejected + 1) as f64 > self.max_ejected * number as f64 {
            return None;
        }
        let entry = &mut entries[index];
        let time = self.time.saturating_mul(entry.member.add_ejection()).min(self.max_time);
        let until = deadline(now, time);
        (entry.ejected_until, entry.since) = (Some(until), Some(until));
        Some(time)
    }
}

impl Default for Outlier {
    fn default() -> Self {
        Self::new()
    }
}
