//! [`Inflow`]: the rate at which an endpoint gets tunnels, as a bucket of tokens for one second.

use std::{num::NonZeroU32, time::Duration};

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Tunnels that an endpoint got lately.
#[derive(Default)]
pub(super) struct Inflow {
    /// The time at which the bucket is full again.
    full_at: Option<Instant>,
}

impl Inflow {
    /// Returns true if another tunnel is within the rate, per second.
    pub(super) fn allows(&self, now: Instant, rate: NonZeroU32) -> bool {
        self.full_at.is_none_or(|full_at| full_at + SECOND / rate.get() <= now + SECOND)
    }

    /// Counts a tunnel.
    pub(super) fn add(&mut self, now: Instant, rate: NonZeroU32) {
        let full_at = self.full_at.filter(|full_at| *full_at > now).unwrap_or(now);
        self.full_at = Some(full_at + SECOND / rate.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_allows_the_rate_and_then_one_for_each_part_of_a_second() {
        let (start, rate) = (Instant::now(), NonZeroU32::new(4).unwrap());
        let mut inflow = Inflow::default();
        let mut add_all = |now: Instant| {
            let mut number = 0;
            while inflow.allows(now, rate) {
                inflow.add(now, rate);
                number += 1;
            }
            number
        };
        assert_eq!(add_all(start), 4);
        assert_eq!(add_all(start + SECOND / 8), 0);
        assert_eq!(add_all(start + SECOND / 4), 1);
        assert_eq!(add_all(start + SECOND * 3 / 4), 2);
        assert_eq!(add_all(start + SECOND * 60), 4);
    }
}
