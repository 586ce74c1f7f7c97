//! [`Schedule`], the moments at which a drain notifies and aborts its tunnels.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use super::{DrainConfig, DrainSummary, tracker::Tracker};
use crate::{
    time::deadline,
    tunnel::{CloseFrame, shared::ShutdownRequest},
};

/// Number of tunnels whose clients may reconnect in a second, by default.
const PER_SECOND: u32 = 2_000;

/// Minimum of the default jitter.
const MIN_JITTER: Duration = Duration::from_secs(1);

/// Number of tunnels that may be aborted in a second.
const ABORTED_PER_SECOND: u32 = 10_000;

/// Spreads the shutdown requests of a drain, which begins now, over the jitter window, and the aborts over the last part
/// of the grace.
#[derive(Clone)]
pub(super) struct Schedule {
    close: Option<CloseFrame>,
    jitter: Option<Duration>,
    start: Instant,
    /// End of the jitter window.
    spread_until: Instant,
    /// Start of the time in which tunnels are aborted.
    aborts_from: Instant,
    deadline: Instant,
    /// Source of the moments within the windows, which are hashes of the tunnels' ids. Its key is random.
    hasher: RandomState,
}

impl Schedule {
    pub(super) fn new(config: DrainConfig) -> Self {
        let DrainConfig { close, jitter, grace } = config;
        let start = Instant::now();
        let deadline = deadline(start, grace);
        let hasher = RandomState::new();
        Self { close, jitter, start, spread_until: start, aborts_from: deadline, deadline, hasher }
    }

    /// Sets the windows for this number of tunnels. There is no jitter for a single one: its client can't reconnect together
    /// with others.
    pub(super) fn for_tunnels(self, count: usize) -> Self {
        let Self { start, deadline, .. } = self;
        let grace = deadline - start;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let jitter = match self.jitter {
            _ if count <= 1 => Duration::ZERO,
            Some(jitter) => jitter,
            None => (Duration::from_secs(1) * count / PER_SECOND).max(MIN_JITTER),
        };
        Self {
            spread_until: start + jitter.min(grace / 2),
            aborts_from: deadline - Duration::from_secs((count / ABORTED_PER_SECOND).into()).min(grace / 4),
            ..self
        }
    }

    /// Returns the schedule with the earlier deadline, `self` if they are equal.
    pub(super) fn or_sooner(self, other: Self) -> Self {
        if other.deadline < self.deadline { other } else { self }
    }

    /// Returns the request for the tunnel with this id.
    pub(super) fn request(&self, id: u64) -> ShutdownRequest {
        let now = Instant::now();
        let share = self.hasher.hash_one(id) as f64 / u64::MAX as f64;
        let at = |from: Instant, to: Instant| from + to.saturating_duration_since(from).mul_f64(share);
        ShutdownRequest {
            at: at(now, self.spread_until),
            deadline: at(self.aborts_from, self.deadline),
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
    async fn the_default_jitter_is_a_second_for_2000_tunnels_and_at_least_one() {
        let config = DrainConfig::new().grace(Duration::from_secs(100));
        for (count, seconds) in [(2, 1), (2_000, 1), (10_000, 5), (90_000, 45), (1_000_000, 50)] {
            let schedule = Schedule::new(config.clone()).for_tunnels(count);
            assert_eq!(schedule.spread_until, Instant::now() + Duration::from_secs(seconds), "{count}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn aborts_are_spread_over_the_last_part_of_the_grace() {
        let start = Instant::now();
        for (count, grace, window) in
            [(9_999, 20, 0.0), (50_000, 100, 5.0), (50_000, 8, 2.0), (50_000, 0, 0.0)]
        {
            let [grace, window] = [f64::from(grace), window].map(Duration::from_secs_f64);
            let schedule = Schedule::new(DrainConfig::new().grace(grace)).for_tunnels(count);
            let deadlines: Vec<_> = (1..=500).map(|id| schedule.request(id).deadline - start).collect();
            let (first, last) = (deadlines.iter().min().unwrap(), deadlines.iter().max().unwrap());
            assert!(*first >= grace - window && *last <= grace, "{count}: {first:?} to {last:?}");
            assert!(*last - *first >= window.mul_f64(0.9), "{count}: {first:?} to {last:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_duration_is_too_long() {
        let config = DrainConfig::new().jitter(Duration::MAX).grace(Duration::MAX);
        let request = Schedule::new(config).for_tunnels(usize::MAX).request(1);
        assert!(request.at < request.deadline && request.deadline > Instant::now() + NEVER / 2);
    }
}
