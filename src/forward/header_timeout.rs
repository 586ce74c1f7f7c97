//! [`HeaderTimeout`]: a limit on the wait for a response head, which starts anew with each frame of the
//! request's body. An upload may take its time, and a silent upstream is detected.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either};
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep_until};

use crate::{body::Outgoing, error::BoxError};

/// The time of the request's last progress, shared by its body and the wait for the response head.
#[derive(Clone, Debug)]
pub(super) struct HeaderTimeout {
    started: Instant,
    /// Milliseconds from `started` to the last frame of the body.
    last: Arc<AtomicU64>,
    limit: Duration,
}

impl HeaderTimeout {
    pub(super) fn new(limit: Duration) -> Self {
        Self { started: Instant::now(), last: Arc::default(), limit }
    }

    /// Returns the body, with the time of each frame recorded.
    pub(super) fn track<B>(&self, body: B) -> Outgoing
    where
        B: Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Either::Right(Tracked { body, header_timeout: self.clone() }.boxed_unsync())
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

    /// Records progress: the limit starts anew.
    pub(super) fn record(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    /// Returns the deadline, unless it is beyond the range of the clock.
    fn deadline(&self) -> Option<Instant> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.started.checked_add(last)?.checked_add(self.limit)
    }
}

pin_project! {
    /// A body that records the time of each frame.
    struct Tracked<B> {
        #[pin]
        body: B,
        header_timeout: HeaderTimeout,
    }
}

impl<B> Body for Tracked<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        if frame.is_ready() {
            this.header_timeout.record();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
                header_timeout.record();
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
