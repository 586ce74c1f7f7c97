//! The longest wait that timers and instants can tell.

use std::time::Duration;

use tokio::time::Instant;

/// As good as never, and no more than timers and instants can tell: tokio's own is 30 years, too.
pub(crate) const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// When `wait` is over, from `now` on.
pub(crate) fn deadline(now: Instant, wait: Duration) -> Instant {
    now + wait.min(NEVER)
}
