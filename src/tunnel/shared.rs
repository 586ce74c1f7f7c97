//! A running tunnel, seen and steered from outside.

use std::{
    fmt,
    sync::{Arc, OnceLock, PoisonError},
    task::Context,
    time::Duration,
};

use tokio::time::Instant;

use super::{CloseFrame, Side, Sides};
use crate::{
    sync::AtomicWaker, sync::Mutex, sync::atomic::AtomicU8, sync::atomic::AtomicU64, sync::atomic::Ordering,
};

/// What a tunnel shares with those who watch it. It writes its counts here whenever bytes have moved, and
/// looks here whenever it is polled.
#[derive(Debug)]
pub(crate) struct Shared {
    opened: Instant,
    /// Milliseconds from `opened` to the last byte.
    last_byte: AtomicU64,
    counts: Sides<AtomicCount>,
    stage: AtomicU8,
    /// Boxed, as most tunnels never have one.
    shutdown_request: Mutex<Option<Box<ShutdownRequest>>>,
    tunnel: AtomicWaker,
    observer: OnceLock<Arc<dyn Observer>>,
}

/// Told of what moves, by the tunnel's task.
pub(crate) trait Observer: fmt::Debug + Send + Sync {
    /// The tunnel has carried so much, at the age of so many milliseconds.
    fn on_progress(&self, age: u64, counts: Sides<Count>);

    /// The frames of `side` can't be followed any more.
    fn on_invalid_framing(&self, side: Side);
}

/// What went from one side to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) bytes: u64,
    /// Complete ones, of a WebSocket.
    pub(crate) messages: u64,
}

#[derive(Debug, Default)]
struct AtomicCount {
    bytes: AtomicU64,
    messages: AtomicU64,
}

/// What a tunnel is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TunnelState {
    /// The 101 is on its way, and the connections are being taken out of HTTP.
    Opening,
    /// Bytes may move both ways.
    Open,
    /// One side has finished sending.
    HalfClosed,
    /// The sides were told that it ends.
    Closing,
    /// It has ended.
    Ended,
}

/// To end, before the tunnel does so by itself.
#[derive(Clone, Debug)]
pub(crate) struct ShutdownRequest {
    /// When the sides are told.
    pub(crate) at: Instant,
    /// When what is left is cut.
    pub(crate) deadline: Instant,
    /// What they are told.
    pub(crate) close: CloseFrame,
}

impl ShutdownRequest {
    /// One request of what is known and this: what is due first is said, and what is over first is the end.
    pub(crate) fn merged(self, known: Option<Self>) -> Self {
        let Some(known) = known else { return self };
        let deadline = self.deadline.min(known.deadline);
        let first = if self.at < known.at { self } else { known };
        Self { deadline, ..first }
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            opened: Instant::now(),
            last_byte: AtomicU64::new(0),
            counts: Sides::default(),
            stage: AtomicU8::new(TunnelState::Opening as u8),
            shutdown_request: Mutex::new(None),
            tunnel: AtomicWaker::new(),
            observer: OnceLock::new(),
        }
    }

    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// How long ago the last byte was.
    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last_byte.load(Ordering::Relaxed));
        self.age().saturating_sub(last)
    }

    pub(crate) fn counts(&self) -> Sides<Count> {
        self.counts.map(AtomicCount::load)
    }

    pub(crate) fn state(&self) -> TunnelState {
        let all = [TunnelState::Opening, TunnelState::Open, TunnelState::HalfClosed, TunnelState::Closing];
        let stage = usize::from(self.stage.load(Ordering::Relaxed));
        all.get(stage).copied().unwrap_or(TunnelState::Ended)
    }

    /// Has the tunnel end. Several orders become one.
    pub(crate) fn request_shutdown(&self, request: ShutdownRequest) {
        let mut place = self.shutdown_request.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Box::new(request.merged(place.take().map(|known| *known))));
        drop(place);
        self.tunnel.wake();
    }

    /// The request, when there is one. Whom `cx` stands for is woken when there is.
    pub(crate) fn poll_shutdown_request(&self, cx: &mut Context<'_>) -> Option<ShutdownRequest> {
        self.tunnel.register(cx.waker());
        self.shutdown_request.lock().unwrap_or_else(PoisonError::into_inner).take().map(|request| *request)
    }

    /// The frames of `side` can't be followed.
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
        self.stage.store(state as u8, Ordering::Relaxed);
    }

    /// So much has gone by `now`, the last of it just now.
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
    use crate::{tunnel::CloseCode, tunnel::Tunnel, tunnel::TunnelConfig, tunnel::TunnelEnd};

    #[tokio::test(start_paused = true)]
    async fn of_two_orders_the_earlier_moments_count_whenever_they_come() {
        for (first, second) in [((10, 40), (20, 30)), ((20, 30), (10, 40)), ((10, 30), (20, 40))] {
            for polled_between in [false, true] {
                let (_client, client_end) = duplex(1);
                let (mut upstream, upstream_end) = duplex(1);
                let shared = Arc::new(Shared::new());
                let tunnel = Tunnel::new(client_end, upstream_end, TunnelConfig::new());
                let tunnel = tokio::spawn(tunnel.watched(Some(Arc::clone(&shared))));
                let begun = Instant::now();
                for (at, deadline) in [first, second] {
                    let [at, deadline] = [at, deadline].map(|seconds| begun + Duration::from_secs(seconds));
                    shared.request_shutdown(ShutdownRequest {
                        at,
                        deadline,
                        close: CloseFrame::new(CloseCode::GOING_AWAY),
                    });
                    if polled_between {
                        yield_now().await;
                        yield_now().await;
                    }
                }
                assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
                assert_eq!(begun.elapsed().as_secs(), 10);
                let summary = tunnel.await.unwrap();
                assert!(matches!(summary.end(), TunnelEnd::DrainTimeout), "{summary:?}");
                assert_eq!(begun.elapsed().as_secs(), 30, "{first:?} {second:?}");
            }
        }
    }
}
