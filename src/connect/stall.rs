//! [`StallWatch`]: the limit on the time in which the client takes nothing of a response.
//!
//! A server does not poll a body whose bytes the client does not take, so the body itself cannot detect that. A
//! body is therefore shared with a list, and one task for each list looks at its bodies now and then. A body that
//! was not read for the limit is dropped there, which releases the upstream's connection. A body that is read at
//! once costs an entry of the list, but no timer and no task.

use std::{
    error::Error as StdError,
    fmt, mem,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use slab::Slab;
use tokio::runtime::Handle;

use super::sweep::{self, Sweep};
use crate::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::NEVER,
};

/// Checks per limit: a body ends between one limit and a quarter more.
const CHECKS: u32 = 4;

/// Largest frame to a client in HTTP/2, whose frames have that size by default. No socket takes a part of it early.
const MAX_HTTP2_FRAME: usize = 16 * 1024;

/// Smallest limit on the frames in HTTP/2.
const MIN_HTTP2_FRAME: usize = 1024;

/// Bytes per second that a stream takes at least if a frame is taken within the send timeout.
const MIN_HTTP2_RATE: u128 = 256;

/// The limit, with the list of the bodies under it.
#[derive(Debug)]
pub(crate) struct StallWatch(Option<Arc<Bodies>>);

/// The list of bodies, and the number of checks so far, which is the clock.
struct Bodies {
    limit: Duration,
    checks: AtomicU32,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    bodies: Slab<Arc<dyn Check>>,
    has_task: bool,
}

/// A body in the list.
trait Check: Send + Sync {
    /// Ends the body if it was not read for the limit.
    fn check(&self, now: u32);
}

/// A body that ends when it is not read for the limit.
pub(crate) struct Watched<B: Send + 'static> {
    shared: Arc<Shared<B>>,
    /// The list and the body's key in it.
    entry: Option<(Arc<Bodies>, usize)>,
}

struct Shared<B>(Mutex<State<B>>);

struct State<B> {
    /// `None` when the body was dropped.
    body: Option<B>,
    /// The check before which the body was last read.
    last_read: u32,
    /// The reader, while the body waits for the upstream.
    reader: Option<Waker>,
}

impl StallWatch {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        let watch =
            |limit| Arc::new(Bodies { limit, checks: AtomicU32::new(0), list: Mutex::new(List::default()) });
        Self(limit.map(watch))
    }

    fn limit(&self) -> Option<Duration> {
        self.0.as_ref().map(|watch| watch.limit)
    }

    /// Returns the largest frame of a body to a client in HTTP/2.
    pub(crate) fn max_http2_frame(&self) -> usize {
        let Some(limit) = self.limit() else { return MAX_HTTP2_FRAME };
        let size = limit.as_millis().saturating_mul(MIN_HTTP2_RATE) / 1000;
        usize::try_from(size).unwrap_or(MAX_HTTP2_FRAME).clamp(MIN_HTTP2_FRAME, MAX_HTTP2_FRAME)
    }

    /// Applies the limit to `body`.
    pub(crate) fn watch<B: Send + 'static>(&self, body: B) -> Watched<B> {
        let now = self.0.as_ref().map_or(0, |watch| watch.now());
        let state = State { body: Some(body), last_read: now, reader: None };
        let shared = Arc::new(Shared(Mutex::new(state)));
        let add = |watch: &Arc<Bodies>| (Arc::clone(watch), watch.add(Arc::clone(&shared) as _));
        let entry = self.0.as_ref().map(add);
        Watched { shared, entry }
    }
}

/// The clone has a list of its own, so that workers with a clone each share nothing.
impl Clone for StallWatch {
    fn clone(&self) -> Self {
        Self::new(self.limit())
    }
}

impl Bodies {
    fn now(&self) -> u32 {
        self.checks.load(Ordering::Relaxed)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, body: Arc<dyn Check>) -> usize {
        let mut list = self.list();
        let key = list.bodies.insert(body);
        let has_task = mem::replace(&mut list.has_task, true);
        drop(list);
        if !has_task {
            sweep::start(self, &Handle::current(), self.limit.min(NEVER) / CHECKS);
        }
        key
    }
}

impl Sweep for Bodies {
    fn sweep(&self) -> bool {
        let now = self.checks.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut list = self.list();
        list.has_task = !list.bodies.is_empty();
        let bodies = list.bodies.iter().map(|(_, body)| Arc::clone(body)).collect::<Vec<_>>();
        drop(list);
        bodies.iter().for_each(|body| body.check(now));
        !bodies.is_empty()
    }

    fn stopped(&self) {
        self.list().has_task = false;
    }
}

impl<B: Send + 'static> Check for Shared<B> {
    fn check(&self, now: u32) {
        let mut state = self.state();
        if let Some(reader) = state.reader.take() {
            // The upstream is waited for. A reader that does not come back is a client that takes nothing.
            state.last_read = now;
            drop(state);
            return reader.wake();
        }
        // The first of these checks may have followed the read at once.
        if now.wrapping_sub(state.last_read) > CHECKS && state.body.is_some() {
            let body = state.body.take();
            drop(state);
            drop(body);
            #[cfg(feature = "tracing")]
            tracing::debug!("the client took nothing of a response within the send timeout");
        }
    }
}

impl<B> Shared<B> {
    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Send + 'static> Watched<B> {
    /// Returns `body` without a limit.
    pub(crate) fn unlimited(body: B) -> Self {
        StallWatch(None).watch(body)
    }

    /// Returns the result of `poll` with the body. An error when the body was dropped.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut B, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Stalled>> {
        let mut state = self.shared.state();
        let Some(body) = &mut state.body else { return Poll::Ready(Err(Stalled)) };
        let polled = poll(body, cx);
        match (&polled, &self.entry) {
            (Poll::Ready(_), Some((watch, _))) => {
                state.last_read = watch.now();
                state.reader = None;
            }
            (Poll::Pending, Some(_)) => match &mut state.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                reader => *reader = Some(cx.waker().clone()),
            },
            (_, None) => {}
        }
        polled.map(Ok)
    }

    /// Returns what `read` returns for the body, unless the body was dropped.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&B) -> T) -> Option<T> {
        self.shared.state().body.as_ref().map(read)
    }
}

impl<B: Send + 'static> Drop for Watched<B> {
    fn drop(&mut self) {
        if let Some((watch, key)) = self.entry.take() {
            let removed = watch.list().bodies.try_remove(key);
            drop(removed);
        }
    }
}

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bodies").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<B: Send + 'static> fmt::Debug for Watched<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

/// Error: the send timeout has expired.
#[derive(Debug)]
pub(crate) struct Stalled;

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client took nothing of the response within the send timeout")
    }
}

impl StdError for Stalled {}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::time::{Instant, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    /// A body that tells when it is dropped.
    struct Body(Arc<Mutex<Option<Instant>>>);

    impl Drop for Body {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(Instant::now());
        }
    }

    fn body() -> (Body, impl Fn() -> Option<Instant>) {
        let dropped = Arc::new(Mutex::new(None));
        (Body(Arc::clone(&dropped)), move || *dropped.lock().unwrap())
    }

    async fn read(body: &mut Watched<Body>) -> Result<(), Stalled> {
        poll_fn(|cx| body.poll(cx, |_, _| Poll::Ready(()))).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_not_read_is_dropped_after_the_limit() {
        let watch = StallWatch::new(Some(LIMIT));
        for start in [0, 1, 14, 29] {
            sleep(Duration::from_secs(start)).await;
            let ((unread, unread_end), (known, known_end)) = (body(), body());
            let (mut unread, mut known) = (watch.watch(unread), watch.watch(known));
            let created = Instant::now();
            for _ in 0..10 {
                sleep(LIMIT * 9 / 10).await;
                read(&mut known).await.unwrap();
            }
            let waited = unread_end().unwrap() - created;
            assert!((LIMIT..=LIMIT * 5 / 4).contains(&waited), "{waited:?}");
            assert!(known_end().is_none(), "a body that is read is dropped");
            read(&mut unread).await.unwrap_err();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_upstream_does_not_count_while_the_reader_comes_back() {
        let watch = StallWatch::new(Some(LIMIT));
        let (body, dropped) = body();
        let mut body = watch.watch(body);
        let waiting = poll_fn(|cx| body.poll(cx, |_, _| Poll::<()>::Pending));
        assert!(tokio::time::timeout(LIMIT * 10, waiting).await.is_err());
        assert!(dropped().is_none());
        let left = Instant::now();
        sleep(LIMIT * 3).await;
        let waited = dropped().unwrap() - left;
        assert!((LIMIT..=LIMIT * 3 / 2).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_ends_with_the_last_body_and_starts_again() {
        let watch = StallWatch::new(Some(LIMIT));
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        for _ in 0..3 {
            let body = watch.watch(body().0);
            assert_eq!(tasks(), before + 1);
            drop(body);
            sleep(LIMIT).await;
            assert_eq!(tasks(), before);
        }
    }

    #[test]
    fn the_task_starts_again_in_another_runtime() {
        let watch = StallWatch::new(Some(LIMIT));
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let (body, dropped) = body();
                let _body = watch.watch(body);
                sleep(LIMIT * 2).await;
                assert!(dropped().is_some());
                let _unfinished = watch.watch(self::body().0);
                tokio::task::yield_now().await;
            });
        }
    }
}
