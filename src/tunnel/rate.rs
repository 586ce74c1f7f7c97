//! [`RateLimit`]: a token bucket for a direction.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

/// Maximum rate for one direction of each tunnel, in bytes per second.
///
/// A token bucket with a token per byte fills at this rate up to the burst: tokens that are not used while
/// the direction is quiet permit a burst later. While the bucket is empty, nothing is read, and the sender
/// experiences backpressure.
///
/// ```
/// use std::num::NonZeroU64;
/// use tower_upgrade_proxy::{RateLimit, Side, TunnelConfig};
///
/// let limit = RateLimit::bytes_per_second(NonZeroU64::new(1 << 20).unwrap()).burst(256 * 1024);
/// let config = TunnelConfig::new().rate_limit(Side::Client, limit);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    rate: NonZeroU64,
    burst: Option<u64>,
}

impl RateLimit {
    /// Creates a limit with a burst of a tenth of a second, but at least 16 KiB.
    #[must_use]
    pub fn bytes_per_second(rate: NonZeroU64) -> Self {
        Self { rate, burst: None }
    }

    /// Sets the burst in bytes. At least 1.
    #[must_use]
    pub fn burst(mut self, bytes: u64) -> Self {
        self.burst = Some(bytes);
        self
    }

    pub(super) fn bucket(self, now: Instant) -> Box<TokenBucket> {
        let rate = self.rate.get();
        let size = self.burst.unwrap_or((rate / 10).max(16 * 1024)).max(1);
        Box::new(TokenBucket { rate, size, tokens: size, filled: now, resumes_at: None })
    }
}

/// The tokens of one direction.
#[derive(Debug)]
pub(super) struct TokenBucket {
    rate: u64,
    size: u64,
    tokens: u64,
    /// The time up to which tokens have been added.
    filled: Instant,
    /// The end of a wait for tokens.
    resumes_at: Option<Instant>,
}

impl TokenBucket {
    /// Minimum tokens for a read: those of 10 ms.
    fn minimum(&self) -> u64 {
        (self.rate / 100).clamp(1, self.size)
    }

    /// Adds the tokens up to `now`. Returns the bytes that may be read, or the time from which some may.
    fn refill(&mut self, now: Instant) -> Result<u64, Instant> {
        let waited = now.saturating_duration_since(self.filled);
        let tokens = u128::from(self.rate) * waited.as_nanos() / NANOS;
        if let Ok(tokens) = u64::try_from(tokens)
            && self.tokens.saturating_add(tokens) < self.size
        {
            // A fraction of a token stays for the next time.
            self.tokens += tokens;
            self.filled += self.time_for(tokens);
        } else {
            self.tokens = self.size;
            self.filled = now;
        }
        if self.tokens >= self.minimum() {
            return Ok(self.tokens);
        }
        Err(self.filled + self.time_for(self.minimum() - self.tokens))
    }

    /// Returns the bytes that may be read. If 0, a wait for tokens begins.
    pub(super) fn available(&mut self, now: Instant) -> u64 {
        let (available, resumes_at) = match self.refill(now) {
            Ok(tokens) => (tokens, None),
            Err(time) => (0, Some(time)),
        };
        self.resumes_at = resumes_at;
        available
    }

    /// Returns the end of the wait for tokens.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        self.resumes_at
    }

    /// Ends the wait for tokens.
    pub(super) fn clear_wait(&mut self) {
        self.resumes_at = None;
    }

    /// Records a read.
    pub(super) fn take(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    fn time_for(&self, tokens: u64) -> Duration {
        let nanos = (u128::from(tokens) * NANOS).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: u64, burst: u64, now: Instant) -> Box<TokenBucket> {
        RateLimit::bytes_per_second(NonZeroU64::new(rate).unwrap()).burst(burst).bucket(now)
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let start = Instant::now();
        for (rate, burst) in [(1, 1), (7, 3), (1000, 100), (1 << 20, 1 << 16), (u64::MAX, u64::MAX)] {
            let mut bucket = bucket(rate, burst, start);
            assert_eq!(bucket.refill(start), Ok(burst));
            let (mut now, mut taken, mut waits) = (start, 0_u128, 0);
            while waits < 1000 {
                match bucket.refill(now) {
                    Ok(tokens) => {
                        bucket.take(tokens);
                        taken += u128::from(tokens);
                    }
                    Err(time) => {
                        assert!(time > now);
                        now = time;
                        waits += 1;
                    }
                }
                if taken > u128::from(u64::MAX) {
                    break;
                }
            }
            let allowed = u128::from(burst) + u128::from(rate) * (now - start).as_nanos() / NANOS;
            assert!(taken <= allowed, "{taken} of {allowed} at {rate}");
            assert!(
                taken + u128::from(burst) + 1 >= allowed.min(u128::from(u64::MAX)),
                "{taken} of {allowed}"
            );
        }
    }

    #[test]
    fn an_idle_bucket_does_not_overflow() {
        let start = Instant::now();
        let mut bucket = bucket(1000, 100, start);
        bucket.take(100);
        assert_eq!(bucket.refill(start), Err(start + Duration::from_millis(10)));
        assert_eq!(bucket.refill(start + Duration::from_millis(50)), Ok(50));
        assert_eq!(bucket.refill(start + Duration::from_secs(3600)), Ok(100));
        assert_eq!(bucket.refill(start + Duration::from_secs(u64::from(u32::MAX))), Ok(100));
    }
}
