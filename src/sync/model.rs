//! What the models need besides shuttle's own.

use std::{sync::Arc, task::Waker};

use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler},
    sync::{Mutex, PoisonError},
};

/// Does what that of the crate `atomic_waker` does.
#[derive(Debug, Default)]
pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn register(&self, waker: &Waker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    pub(crate) fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Runs a model under many interleavings of its threads: random ones, and those of few switches at random
/// places. When all its threads wait for each other, that is a failure.
///
/// tokio's and h2's own locks are not touched by the scheduler: each call into them is one step. Time stands
/// still, so that no timeout rescues who is not woken.
pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    const TRIES: usize = 5_000;
    let mut config = Config::new();
    // The orderings of atomics are none of its business.
    config.silence_warnings = true;
    // h2 needs more than the default.
    config.stack_size = 1 << 20;
    let body = Arc::new(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        let _entered = runtime.enter();
        body();
    });
    let again = Arc::clone(&body);
    let random = Runner::new(RandomScheduler::new(TRIES), config.clone()).run(move || body());
    let few_switches = Runner::new(PctScheduler::new(3, TRIES), config).run(move || again());
    assert_eq!((random, few_switches), (TRIES, TRIES));
}
