//! Control of the paused clock.

use std::{sync::mpsc, task::Poll, time::Duration};

use tokio::task::spawn_blocking;

/// Runs all tasks until they wait.
pub(super) async fn settle() {
    frozen(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Runs all tasks, advances the clock, and runs all tasks again.
pub(super) async fn advance(time: Duration) {
    settle().await;
    advance_now(time).await;
}

/// Advances the clock at once, and runs all tasks after it.
pub(super) async fn advance_now(time: Duration) {
    frozen(tokio::time::advance(time)).await;
    settle().await;
}

pub(super) async fn poll_once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        Poll::Ready(match work.as_mut().poll(cx) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        })
    })
    .await
}

/// Keeps the paused clock from advancing by itself. Panics after 20 seconds of real time.
pub(super) async fn frozen<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = mpsc::channel::<()>();
    let mut watchdog = spawn_blocking(move || wait.recv_timeout(Duration::from_secs(20)));
    let result = tokio::select! {
        biased;
        result = work => result,
        _ = &mut watchdog => panic!("no progress in 20 s"),
    };
    drop(done);
    let _ = watchdog.await;
    result
}
