//! [`TunnelResource`]: a value of the application that lives as long as a tunnel.

use std::{any::Any, fmt, sync::Arc};

/// A value of the application that is dropped when the tunnel has ended: a permit, a guard, a counter. An extension of the request:
///
/// ```
/// use std::sync::Arc;
/// use http::Request;
/// use tokio::sync::Semaphore;
/// use tower_upgrade_proxy::TunnelResource;
///
/// /// At most as many tunnels as the user has paid for.
/// fn admit<B>(request: &mut Request<B>, tunnels_of_user: &Arc<Semaphore>) -> bool {
///     let Ok(permit) = Arc::clone(tunnels_of_user).try_acquire_owned() else { return false };
///     request.extensions_mut().insert(TunnelResource::new(permit));
///     true
/// }
/// ```
///
/// It is dropped after [`OnTunnel::on_close`](crate::OnTunnel::on_close). If no tunnel opens, it is dropped with the request. For several
/// values use a tuple. Clones share the value, and it is dropped with the last of them.
#[derive(Clone)]
pub struct TunnelResource(#[allow(dead_code, reason = "held for its drop")] Arc<dyn Any + Send + Sync>);

impl TunnelResource {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Send + Sync + 'static) -> Self {
        Self(Arc::new(value))
    }
}

impl fmt::Debug for TunnelResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunnelResource").finish_non_exhaustive()
    }
}
