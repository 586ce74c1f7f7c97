//! [`HeaderTimeout`]: a limit on the wait for a response head, which starts anew with each frame of the
//! request's body. An upload may take its time, and a silent upstream is detected.

use std::{task::Poll, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::body::Upload;

/// Limit on the time without progress of the request.
#[derive(Clone, Debug)]
pub(super) struct HeaderTimeout {
    pub(super) upload: Upload,
    limit: Duration,
}

impl HeaderTimeout {
    pub(super) fn new(limit: Duration) -> Self {
        Self { upload: Upload::start(), limit }
    }

    /// Returns the output of `future`, or `None` when the limit has passed without a frame.
    pub(super) async fn limit<F: Future>(&self, future: F) -> Option<F::Output> {
        let Some(deadline) = self.deadline() else { return Some(future.await) };
        let mut future = std::pin::pin!(future);
        let mut timer = std::pin::pin!(sleep_until(deadline));
        std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Some(output));
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                match self.deadline() {
                    Some(deadline) if Instant::now() >= deadline => return Poll::Ready(None),
                    Some(deadline) => timer.as_mut().reset(deadline),
                    None => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Returns the deadline, unless it is beyond the range of the clock.
    fn deadline(&self) -> Option<Instant> {
        self.upload.last_progress()?.checked_add(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_limit_counts_from_the_last_frame() {
        let header_timeout = HeaderTimeout::new(Duration::from_secs(10));
        let started = Instant::now();
        let upload = async {
            for _ in 0..5 {
                sleep(Duration::from_secs(9)).await;
                header_timeout.upload.record(true);
            }
            std::future::pending::<()>().await;
        };
        assert!(header_timeout.limit(upload).await.is_none());
        assert_eq!(started.elapsed().as_secs(), 55);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_range_of_the_clock_never_ends() {
        let header_timeout = HeaderTimeout::new(Duration::MAX);
        assert_eq!(header_timeout.limit(async { 1 }).await, Some(1));
    }
}
