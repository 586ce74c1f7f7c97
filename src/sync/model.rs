//! Runner of the models, and a waker for them.

use std::{sync::Arc, task::Waker};

use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler},
    sync::{Mutex, PoisonError},
};

/// Replacement for the waker of the crate `atomic_waker`.
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

/// Runs a model under many interleavings of its threads: random ones, and ones with few thread switches at random
/// points. A deadlock is a failure.
///
/// The locks inside tokio and h2 are unknown to the scheduler: each call into them is one step. Time does not
/// advance, so that no timeout hides a missing wake-up.
pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
    const TRIES: usize = 5_000;
    let mut config = Config::new();
    // Silences the warning that shuttle does not model the orderings of atomics.
    config.silence_warnings = true;
    // h2 needs more stack than the default.
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
