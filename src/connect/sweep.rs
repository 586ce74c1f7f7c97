//! [`Sweep`]: a list whose entries are checked from time to time, by one task that exists only while there are entries.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

/// A list with a task that checks its entries.
///
/// Whoever adds an entry [starts](start) the task, unless it runs. The list records that, under the lock of its entries.
pub(super) trait Sweep: Send + Sync + 'static {
    /// Checks the entries. Returns false, and records that no task runs, if there are none left.
    fn sweep(&self) -> bool;

    /// Records that no task runs: its runtime has ended before it.
    fn stopped(&self);
}

/// Starts the task of `list` on `runtime`. The task does not keep the list alive.
pub(super) fn start<T: Sweep>(list: &Arc<T>, runtime: &Handle, interval: Duration) {
    runtime.spawn(Task(Arc::downgrade(list)).run(interval));
}

struct Task<T: Sweep>(Weak<T>);

impl<T: Sweep> Task<T> {
    async fn run(mut self, interval: Duration) {
        loop {
            sleep(interval).await;
            if !self.0.upgrade().is_some_and(|list| list.sweep()) {
                // The list may have another task by now.
                self.0 = Weak::new();
                return;
            }
        }
    }
}

impl<T: Sweep> Drop for Task<T> {
    fn drop(&mut self) {
        if let Some(list) = self.0.upgrade() {
            list.stopped();
        }
    }
}
