//! [`Watcher`]: what learns of a drain.

use std::{fmt, future::pending, sync::Arc};

use tokio::sync::watch;

use super::{
    registry::{Membership, Registry},
    tunnels::Tunnels,
};
use crate::{on_tunnel::TunnelInfo, tunnel::shared};

pub(super) struct Shared {
    pub(super) tunnels: Tunnels,
    pub(super) draining: watch::Sender<bool>,
}

/// What learns of a [`Drain`](crate::Drain): layers, and the server around them. Made by
/// [`Drain::watcher`](crate::Drain::watcher).
#[derive(Clone)]
pub struct Watcher(Arc<Shared>);

/// A handshake under way, which is waited for and may become a tunnel.
pub(crate) struct HandshakeGuard(Arc<Shared>);

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Whether [`Drain::shutdown`](crate::Drain::shutdown) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.tunnels.registry().is_closing()
    }

    /// Ready once [`Drain::shutdown`](crate::Drain::shutdown) was called, and never when all
    /// handles to the drain are gone. It is what axum's `with_graceful_shutdown` takes.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut draining = self.0.draining.subscribe();
        async move {
            if draining.wait_for(|draining| *draining).await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Leave for a handshake; `None` while draining.
    pub(crate) fn begin_handshake(&self) -> Option<HandshakeGuard> {
        self.0.tunnels.registry().begin_handshake().then(|| HandshakeGuard(Arc::clone(&self.0)))
    }
}

impl HandshakeGuard {
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        self.0.tunnels.registry()
    }

    /// The handshake has become a tunnel.
    pub(crate) fn register(self, info: &TunnelInfo, live: &Arc<shared::Shared>) -> Membership {
        self.registry().register(info, live)
    }
}

impl Drop for HandshakeGuard {
    fn drop(&mut self) {
        self.registry().end_handshake();
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("is_draining", &self.is_draining()).finish_non_exhaustive()
    }
}
