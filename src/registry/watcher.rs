//! [`Watcher`], the layer's and the server's view of a drain.

use std::{fmt, future::pending, sync::Arc};

use super::Registry;

/// Receiver of a [`Drain`](crate::Drain)'s shutdown, for layers and for the server around them. Made by
/// [`Drain::watcher`](crate::Drain::watcher).
#[derive(Clone)]
pub struct Watcher(Arc<Registry>);

/// A handshake in flight, which a drain waits for. Released on drop.
pub(crate) struct HandshakeGuard(Arc<Registry>);

impl Watcher {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self(registry)
    }

    /// Returns true once [`Drain::shutdown`](crate::Drain::shutdown) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining()
    }

    /// Completes once [`Drain::shutdown`](crate::Drain::shutdown) was called, and stays pending if all
    /// handles to the drain are dropped before that. axum's `with_graceful_shutdown` takes this future.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut is_draining = self.0.is_draining.subscribe();
        async move {
            if is_draining.wait_for(|is_draining| *is_draining).await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Admits a handshake; `None` while draining.
    pub(crate) fn begin_handshake(&self) -> Option<HandshakeGuard> {
        self.0.begin_handshake().then(|| HandshakeGuard(Arc::clone(&self.0)))
    }
}

impl HandshakeGuard {
    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.0
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        self.0.end_handshake();
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("is_draining", &self.is_draining()).finish_non_exhaustive()
    }
}
