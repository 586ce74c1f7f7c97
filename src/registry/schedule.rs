//! Who is told to end when.

use std::hash::{BuildHasher, RandomState};

use tokio::time::Instant;

use super::{
    config::DrainConfig,
    tracker::{Tracker, Wait},
};
use crate::{time::deadline, tunnel::CloseFrame, tunnel::shared::ShutdownRequest};

/// A drain that begins now.
#[derive(Clone)]
pub(crate) struct Schedule {
    close: CloseFrame,
    /// Until then each is told at some moment.
    spread_until: Instant,
    deadline: Instant,
    /// Of the moments: a hash with a random key.
    hasher: RandomState,
}

impl Schedule {
    pub(crate) fn new(config: DrainConfig) -> Self {
        let DrainConfig { close, jitter, grace } = config;
        let now = Instant::now();
        let deadline = deadline(now, grace);
        let spread_until = now + jitter.min((deadline - now) / 2);
        Self { close, spread_until, deadline, hasher: RandomState::new() }
    }

    /// One that is alone has nobody to come back at the same time with.
    pub(crate) fn for_number(self, tunnels: usize) -> Self {
        if tunnels > 1 { self } else { Self { spread_until: Instant::now(), ..self } }
    }

    /// This, or `other` when its end is nearer.
    pub(crate) fn or_sooner(self, other: Self) -> Self {
        if other.deadline < self.deadline { other } else { self }
    }

    /// What the tunnel is told.
    pub(crate) fn order(&self, id: u64) -> ShutdownRequest {
        let now = Instant::now();
        let window = self.spread_until.saturating_duration_since(now);
        let share = self.hasher.hash_one(id) as f64 / u64::MAX as f64;
        ShutdownRequest {
            at: now + window.mul_f64(share),
            deadline: self.deadline,
            close: self.close.clone(),
        }
    }

    /// What counts the ends, and what waits for them.
    pub(crate) fn tracker(&self, handshakes: usize) -> (Tracker, Wait) {
        Tracker::new(handshakes, self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::NEVER;

    fn spread(config: &DrainConfig) -> (Vec<Duration>, Duration) {
        let (start, schedule) = (Instant::now(), Schedule::new(config.clone()).for_number(500));
        let orders: Vec<_> = (1..=500).map(|id| schedule.order(id)).collect();
        assert!(
            orders.iter().all(|order| order.deadline == start + config.grace && order.close == config.close)
        );
        (orders.iter().map(|order| order.at - start).collect(), schedule.spread_until - start)
    }

    #[tokio::test(start_paused = true)]
    async fn moments_are_spread_over_the_whole_jitter_and_not_beyond() {
        let config = DrainConfig::new().jitter(Duration::from_secs(4)).grace(Duration::from_secs(30));
        let (moments, _) = spread(&config);
        for second in 0..4 {
            let within = Duration::from_secs(second)..Duration::from_secs(second + 1);
            let number = moments.iter().filter(|moment| within.contains(*moment)).count();
            assert!((75..=175).contains(&number), "{number} of 500 in second {second}");
        }
        assert!(moments.iter().max() <= Some(&Duration::from_secs(4)));
        assert_ne!(moments, spread(&config).0, "another drain, other moments");
    }

    #[tokio::test(start_paused = true)]
    async fn the_jitter_takes_half_of_the_grace_at_most() {
        let config = DrainConfig::new().jitter(Duration::from_secs(60)).grace(Duration::from_secs(10));
        let (moments, window) = spread(&config);
        assert_eq!(window, Duration::from_secs(5));
        assert!(moments.iter().max() <= Some(&window));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_or_comes_late_does_not_wait_for_others() {
        let config = DrainConfig::new().jitter(Duration::from_secs(4));
        assert_eq!(Schedule::new(config.clone()).for_number(1).order(7).at, Instant::now());
        let schedule = Schedule::new(config).for_number(2);
        let until = Instant::now() + Duration::from_secs(4);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!((1..100).all(|id| (Instant::now()..=until).contains(&schedule.order(id).at)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(schedule.order(7).at, Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn no_duration_is_too_long() {
        let config = DrainConfig::new().jitter(Duration::MAX).grace(Duration::MAX);
        let order = Schedule::new(config).order(1);
        assert!(order.at < order.deadline && order.deadline > Instant::now() + NEVER / 2);
    }
}
