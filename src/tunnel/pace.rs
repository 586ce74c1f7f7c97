//! Pace of timeouts. When thousands of tunnels time out together, live tunnels would wait until the last one has ended.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// Time between two timeouts of a thread.
const INTERVAL: Duration = Duration::from_micros(250);

/// Number of timeouts at once, after a time without any.
const BURST: u32 = 16;

/// Maximum delay of a timeout. Beyond it, timeouts happen at once again.
const LONGEST: Duration = Duration::from_secs(5);

thread_local! {
    /// Time at which the turns granted so far are over, at the pace of [`INTERVAL`].
    static GRANTED_UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Grants the next turn of this thread, for a timeout that is due. Returns its time, `None` if that is now.
pub(super) fn turn(now: Instant) -> Option<Instant> {
    let granted = GRANTED_UNTIL.get().filter(|granted| (now..now + LONGEST).contains(granted)).unwrap_or(now);
    let next = granted + INTERVAL;
    GRANTED_UNTIL.set(Some(next));
    let at = granted.checked_sub(INTERVAL * BURST)?;
    (at > now).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_timeouts_happen_at_once_and_thousands_one_after_the_other() {
        let now = Instant::now();
        let turns: Vec<_> = (0..4_000).map(|_| turn(now).unwrap_or(now)).collect();
        assert_eq!(turns.iter().filter(|at| **at == now).count(), BURST as usize + 1);
        assert!(turns.is_sorted());
        let last = *turns.last().unwrap() - now;
        assert!((Duration::from_millis(990)..=Duration::from_secs(1)).contains(&last), "{last:?}");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(turn(Instant::now()), None, "nothing is owed for long");
    }
}
