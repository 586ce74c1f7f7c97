//! Time, which passes only when it is let.

use std::{sync::mpsc, task::Poll, time::Duration};

use tokio::task::spawn_blocking;

/// Lets everyone do all there is to do at this moment.
pub(super) async fn settle() {
    frozen(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Lets time pass. What it has happen has then happened.
pub(super) async fn pass(time: Duration) {
    settle().await;
    pass_at_once(time).await;
}

/// As [`pass`], but nobody does anything before it.
pub(super) async fn pass_at_once(time: Duration) {
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

/// Keeps the paused clock where it is; fails when nothing happens for long.
pub(super) async fn frozen<T>(work: impl Future<Output = T>) -> T {
    let (done, wait) = mpsc::channel::<()>();
    let mut watchdog = spawn_blocking(move || wait.recv_timeout(Duration::from_secs(20)));
    let result = tokio::select! {
        biased;
        result = work => result,
        _ = &mut watchdog => panic!("nothing happens"),
    };
    drop(done);
    let _ = watchdog.await;
    result
}
