//! How fast a direction may be: a token bucket.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

/// Bytes per second, for one direction of each tunnel.
///
/// A bucket of tokens, one for each byte, that fills at this rate up to the burst: what is not taken from
/// it while the direction is quiet may go at once later. While it is empty nothing is read, and the
/// sender waits as if the other side took no more.
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
    /// At this rate, with a burst of a tenth of a second, but 16 KiB at least.
    #[must_use]
    pub fn bytes_per_second(rate: NonZeroU64) -> Self {
        Self { rate, burst: None }
    }

    /// Bytes that may go at once. At least 1.
    #[must_use]
    pub fn burst(mut self, bytes: u64) -> Self {
        self.burst = Some(bytes);
        self
    }

    pub(super) fn bucket(self, now: Instant) -> Box<Bucket> {
        let rate = self.rate.get();
        let size = self.burst.unwrap_or((rate / 10).max(16 * 1024)).max(1);
        Box::new(Bucket { rate, size, tokens: size, filled: now, until: None })
    }
}

/// The tokens of one direction.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: u64,
    size: u64,
    tokens: u64,
    /// Up to when the tokens were counted.
    filled: Instant,
    /// When reading goes on, while it does not.
    until: Option<Instant>,
}

impl Bucket {
    /// Tokens below which it is not worth to read: what comes in 10 ms.
    fn worthwhile(&self) -> u64 {
        (self.rate / 100).clamp(1, self.size)
    }

    /// How many bytes may be read now; or when some may.
    fn available(&mut self, now: Instant) -> Result<u64, Instant> {
        let waited = now.saturating_duration_since(self.filled);
        let tokens = u128::from(self.rate) * waited.as_nanos() / NANOS;
        if let Ok(tokens) = u64::try_from(tokens)
            && self.tokens.saturating_add(tokens) < self.size
        {
            // Only as much time is spent as these tokens took.
            self.tokens += tokens;
            self.filled += self.time_for(tokens);
        } else {
            self.tokens = self.size;
            self.filled = now;
        }
        if self.tokens >= self.worthwhile() {
            return Ok(self.tokens);
        }
        Err(self.filled + self.time_for(self.worthwhile() - self.tokens))
    }

    /// How many bytes may be read now; none before [`until`](Self::until).
    pub(super) fn open(&mut self, now: Instant) -> u64 {
        let (available, until) = match self.available(now) {
            Ok(tokens) => (tokens, None),
            Err(moment) => (0, Some(moment)),
        };
        self.until = until;
        available
    }

    /// When reading goes on, while it does not.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Nobody waits for it any more.
    pub(super) fn forget(&mut self) {
        self.until = None;
    }

    /// So many bytes were read.
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

    fn bucket(rate: u64, burst: u64, now: Instant) -> Box<Bucket> {
        RateLimit::bytes_per_second(NonZeroU64::new(rate).unwrap()).burst(burst).bucket(now)
    }

    #[test]
    fn the_burst_goes_at_once_and_what_follows_at_the_rate() {
        let start = Instant::now();
        for (rate, burst) in [(1, 1), (7, 3), (1000, 100), (1 << 20, 1 << 16), (u64::MAX, u64::MAX)] {
            let mut bucket = bucket(rate, burst, start);
            assert_eq!(bucket.available(start), Ok(burst));
            let (mut now, mut taken, mut waits) = (start, 0_u128, 0);
            while waits < 1000 {
                match bucket.available(now) {
                    Ok(tokens) => {
                        bucket.take(tokens);
                        taken += u128::from(tokens);
                    }
                    Err(moment) => {
                        assert!(moment > now);
                        now = moment;
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
    fn an_idle_bucket_does_not_fill_above_its_size() {
        let start = Instant::now();
        let mut bucket = bucket(1000, 100, start);
        bucket.take(100);
        assert_eq!(bucket.available(start), Err(start + Duration::from_millis(10)));
        assert_eq!(bucket.available(start + Duration::from_millis(50)), Ok(50));
        assert_eq!(bucket.available(start + Duration::from_secs(3600)), Ok(100));
        assert_eq!(bucket.available(start + Duration::from_secs(u64::from(u32::MAX))), Ok(100));
    }
}
