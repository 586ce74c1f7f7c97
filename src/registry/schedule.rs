//! [`Schedule`], the moments at which a drain notifies its tunnels.

use std::hash::{BuildHasher, RandomState};

use tokio::time::Instant;

use super::{DrainConfig, DrainSummary, tracker::Tracker};
use crate::{
    time::deadline,
    tunnel::{CloseFrame, shared::ShutdownRequest},
};

/// Spreads the shutdown requests of a drain, which begins now, over the jitter window.
#[derive(Clone)]
pub(super) struct Schedule {
    close: CloseFrame,
    /// End of the jitter window.
    spread_until: Instant,
    deadline: Instant,
    /// Source of the moments within the window, which are hashes of the tunnels' ids. Its key is random.
    hasher: RandomState,
}

impl Schedule {
    pub(super) fn new(config: DrainConfig) -> Self {
        let DrainConfig { close, jitter, grace } = config;
        let now = Instant::now();
        let deadline = deadline(now, grace);
        let spread_until = now + jitter.min((deadline - now) / 2);
        Self { close, spread_until, deadline, hasher: RandomState::new() }
    }

    /// Removes the jitter for a single tunnel: its client can't reconnect together with others.
    pub(super) fn for_tunnels(self, count: usize) -> Self {
        if count > 1 { self } else { Self { spread_until: Instant::now(), ..self } }
    }

    /// Returns the schedule with the earlier deadline, `self` if they are equal.
    pub(super) fn or_sooner(self, other: Self) -> Self {
        if other.deadline < self.deadline { other } else { self }
    }

    /// Returns the request for the tunnel with this id.
    pub(super) fn request(&self, id: u64) -> ShutdownRequest {
        let now = Instant::now();
        let window = self.spread_until.saturating_duration_since(now);
        let share = self.hasher.hash_one(id) as f64 / u64::MAX as f64;
        ShutdownRequest {
            at: now + window.mul_f64(share),
            deadline: self.deadline,
            close: self.close.clone(),
        }
    }

    /// Returns a tracker for the tunnels, and for `handshakes` that may become tunnels, with the future that waits.
    pub(super) fn track(
        &self,
        handshakes: usize,
    ) -> (Tracker, impl Future<Output = DrainSummary> + Send + use<>) {
        Tracker::new(handshakes, self.deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::NEVER;

    fn spread(config: &DrainConfig) -> (Vec<Duration>, Duration) {
        let (start, schedule) = (Instant::now(), Schedule::new(config.clone()).for_tunnels(500));
        let requests: Vec<_> = (1..=500).map(|id| schedule.request(id)).collect();
        let deadline = start + config.grace;
        assert!(requests.iter().all(|request| request.deadline == deadline && request.close == config.close));
        (requests.iter().map(|request| request.at - start).collect(), schedule.spread_until - start)
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_over_the_whole_jitter_and_not_beyond() {
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
    async fn the_jitter_takes_at_most_half_of_the_grace() {
        let config = DrainConfig::new().jitter(Duration::from_secs(60)).grace(Duration::from_secs(10));
        let (moments, window) = spread(&config);
        assert_eq!(window, Duration::from_secs(5));
        assert!(moments.iter().max() <= Some(&window));
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_or_late_tunnel_is_notified_without_jitter() {
        let config = DrainConfig::new().jitter(Duration::from_secs(4));
        assert_eq!(Schedule::new(config.clone()).for_tunnels(1).request(7).at, Instant::now());
        let schedule = Schedule::new(config).for_tunnels(2);
        let until = Instant::now() + Duration::from_secs(4);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!((1..100).all(|id| (Instant::now()..=until).contains(&schedule.request(id).at)));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(schedule.request(7).at, Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn no_duration_is_too_long() {
        let config = DrainConfig::new().jitter(Duration::MAX).grace(Duration::MAX);
        let request = Schedule::new(config).request(1);
        assert!(request.at < request.deadline && request.deadline > Instant::now() + NEVER / 2);
    }
}
