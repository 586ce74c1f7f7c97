//! [`Shared`]: the state of a running tunnel that its task shares with handles, the registry and metrics.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError},
    task::Context,
    time::Duration,
};

use tokio::time::Instant;

use super::{CloseFrame, Side, Sides};
use crate::sync::{
    AtomicWaker, Mutex,
    atomic::{AtomicU8, AtomicU64, Ordering},
};

/// State that the task of a tunnel shares with others. The task stores its counts here when bytes have moved,
/// and takes shutdown requests at each poll.
#[derive(Debug)]
pub(crate) struct Shared {
    opened: Instant,
    /// Milliseconds from `opened` to the last byte.
    last_byte: AtomicU64,
    counts: Sides<AtomicCount>,
    state: AtomicU8,
    /// In a box, as most tunnels never have one.
    shutdown_request: Mutex<Option<Box<ShutdownRequest>>>,
    task: AtomicWaker,
    observer: OnceLock<Arc<dyn Observer>>,
}

/// Observer of the traffic. Called by the task of the tunnel.
pub(crate) trait Observer: fmt::Debug + Send + Sync {
    /// Called when bytes have moved, with the age of the tunnel in milliseconds and its counts so far.
    fn on_progress(&self, age: u64, counts: Sides<Count>);

    /// Called when `side` has sent invalid framing that is relayed.
    fn on_invalid_framing(&self, side: Side);
}

/// Traffic from one side to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) bytes: u64,
    /// Complete WebSocket messages.
    pub(crate) messages: u64,
}

#[derive(Debug, Default)]
struct AtomicCount {
    bytes: AtomicU64,
    messages: AtomicU64,
}

/// State of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TunnelState {
    /// The 101 is being sent, and HTTP releases the connections.
    Opening,
    /// Bytes may move both ways.
    Open,
    /// One side has finished sending.
    HalfClosed,
    /// The sides were sent a Close, or are being drained.
    Closing,
    /// The tunnel has ended.
    Ended,
}

/// Request to end a tunnel.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownRequest {
    /// Start of the close handshake.
    pub(crate) at: Instant,
    /// End of the grace: the connections are closed.
    pub(crate) deadline: Instant,
    /// The Close for both sides, instead of those of the close policy.
    pub(crate) close: Option<CloseFrame>,
}

impl ShutdownRequest {
    /// Merges two requests: the earlier start with its Close, and the earlier deadline.
    pub(crate) fn merged(self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        let deadline = self.deadline.min(earlier.deadline);
        let first = if self.at < earlier.at { self } else { earlier };
        Self { deadline, ..first }
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            last_byte: AtomicU64::new(0),
            counts: Sides::default(),
            state: AtomicU8::new(TunnelState::Opening as u8),
            shutdown_request: Mutex::new(None),
            task: AtomicWaker::new(),
            observer: OnceLock::new(),
        }
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Returns the time since the last byte, or the age if there was none.
    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last_byte.load(Ordering::Relaxed));
        self.age().saturating_sub(last)
    }

    pub(crate) fn counts(&self) -> Sides<Count> {
        self.counts.map(AtomicCount::load)
    }

    pub(crate) fn state(&self) -> TunnelState {
        let all = [TunnelState::Opening, TunnelState::Open, TunnelState::HalfClosed, TunnelState::Closing];
        let state = usize::from(self.state.load(Ordering::Relaxed));
        all.get(state).copied().unwrap_or(TunnelState::Ended)
    }

    /// Requests the end of the tunnel. Several requests are merged.
    pub(crate) fn request_shutdown(&self, request: ShutdownRequest) {
        let mut pending = self.shutdown_request.lock().unwrap_or_else(PoisonError::into_inner);
        *pending = Some(Box::new(request.merged(pending.take().map(|earlier| *earlier))));
        drop(pending);
        self.task.wake();
    }

    /// Takes the request if there is one. Otherwise the task of `cx` is woken by the next request.
    pub(crate) fn poll_shutdown_request(&self, cx: &mut Context<'_>) -> Option<ShutdownRequest> {
        self.task.register(cx.waker());
        self.shutdown_request.lock().unwrap_or_else(PoisonError::into_inner).take().map(|request| *request)
    }

    pub(super) fn on_invalid_framing(&self, side: Side) {
        if let Some(observer) = self.observer.get() {
            observer.on_invalid_framing(side);
        }
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn set_observer(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    pub(super) fn enter(&self, state: TunnelState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// Records counts, at the time of their last byte.
    pub(super) fn record(&self, now: Instant, counts: Sides<Count>) {
        for side in Side::BOTH {
            self.counts[side].store(counts[side]);
        }
        let age = now.saturating_duration_since(self.opened).as_millis();
        let age = u64::try_from(age).unwrap_or(u64::MAX);
        self.last_byte.store(age, Ordering::Relaxed);
        if let Some(observer) = self.observer.get() {
            observer.on_progress(age, counts);
        }
    }
}

impl AtomicCount {
    fn store(&self, count: Count) {
        self.bytes.store(count.bytes, Ordering::Relaxed);
        self.messages.store(count.messages, Ordering::Relaxed);
    }

    fn load(&self) -> Count {
        Count { bytes: self.bytes.load(Ordering::Relaxed), messages: self.messages.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        io::{AsyncReadExt, duplex},
        task::yield_now,
    };

    use super::*;
    use crate::tunnel::{CloseCode, Tunnel, TunnelConfig, TunnelEnd};

    #[tokio::test(start_paused = true)]
    async fn merged_requests_have_the_earlier_start_and_the_earlier_deadline() {
        for (first, second) in [((10, 40), (20, 30)), ((20, 30), (10, 40)), ((10, 30), (20, 40))] {
            for polled_between in [false, true] {
                let (_client, client_end) = duplex(1);
                let (mut upstream, upstream_end) = duplex(1);
                let shared = Arc::new(Shared::new());
                let tunnel = Tunnel::new(client_end, upstream_end, TunnelConfig::new());
                let tunnel = tokio::spawn(tunnel.sharing(Some(Arc::clone(&shared))));
                let start = Instant::now();
                for (at, deadline) in [first, second] {
                    let [at, deadline] = [at, deadline].map(|seconds| start + Duration::from_secs(seconds));
                    shared.request_shutdown(ShutdownRequest {
                        at,
                        deadline,
                        close: Some(CloseFrame::new(CloseCode::GOING_AWAY)),
                    });
                    if polled_between {
                        yield_now().await;
                        yield_now().await;
                    }
                }
                assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
                assert_eq!(start.elapsed().as_secs(), 10);
                let summary = tunnel.await.unwrap();
                assert!(matches!(summary.end(), TunnelEnd::DrainTimeout), "{summary:?}");
                assert_eq!(start.elapsed().as_secs(), 30, "{first:?} {second:?}");
            }
        }
    }
}
