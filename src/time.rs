//! Deadlines, within the range of timers and instants.

use std::time::Duration;

use tokio::time::Instant;

/// Longest duration in use: 30 years, the limit of tokio's timers.
pub(crate) const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Adds `wait`, but at most [`NEVER`], to `now`.
pub(crate) fn deadline(now: Instant, wait: Duration) -> Instant {
    now + wait.min(NEVER)
}
