//! [`Tunnels`], a handle to the registry.

use std::{fmt, sync::Arc};

use super::{DrainConfig, DrainSummary, Registry, TunnelStatus, schedule::Schedule};
use crate::on_tunnel::TunnelInfo;

/// List of the open tunnels of any number of layers, which can also drain them.
///
/// A handle: clones share the tunnels. A tunnel is listed from the verified 101 until
/// [`OnTunnel::on_close`](crate::OnTunnel::on_close) has returned at its end, on whichever runtime it runs. It costs
/// two small allocations and a short lock when the tunnel opens, a short lock when it ends, and a few stores when
/// bytes have moved; a layer without a registry has none of these costs.
///
/// ```
/// use tower_upgrade_proxy::{Tunnels, UpgradeProxyLayer};
///
/// let tunnels = Tunnels::new();
/// let chat = UpgradeProxyLayer::new("http://127.0.0.1:9000".parse()?).tunnels(&tunnels);
/// let feed = UpgradeProxyLayer::new("http://127.0.0.1:9001".parse()?).tunnels(&tunnels);
/// for tunnel in tunnels.list() {
///     println!("{} to {}: {:?} old", tunnel.info().id(), tunnel.info().upstream(), tunnel.age());
/// }
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
#[derive(Clone)]
pub struct Tunnels(Arc<Registry>);

impl Tunnels {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Registry::new()))
    }

    /// Number of open tunnels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if no tunnel is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Snapshot of all open tunnels, sorted by id, which is the order in which they opened.
    #[must_use]
    pub fn list(&self) -> Vec<TunnelStatus> {
        let mut list = self.0.list();
        list.sort_unstable_by_key(|tunnel| tunnel.info().id());
        list
    }

    /// Snapshot of one tunnel; `None` when it has ended.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<TunnelStatus> {
        self.0.get(id)
    }

    /// Ends the tunnels for which `filter` returns true, for example those of one user or to one upstream, in
    /// the way of [`Drain::shutdown`](crate::Drain::shutdown): both sides are notified, and a tunnel that is still
    /// open when the [grace](DrainConfig::grace) is over is aborted.
    ///
    /// Each of them has its shutdown request before the call returns. Tunnels that open later and handshakes in
    /// flight are not affected. Therefore revoke the session, or take the upstream out of use, before the drain.
    ///
    /// ```no_run
    /// use tower_upgrade_proxy::{CloseFrame, CloseCode, DrainConfig, Tunnels};
    ///
    /// # async fn log_out(tunnels: &Tunnels, user: &str) {
    /// let revoked = CloseFrame::new(CloseCode::POLICY_VIOLATION).with_reason("session revoked");
    /// let config = DrainConfig::new().close(revoked);
    /// let drained = tunnels.drain(|tunnel| tunnel.label() == Some(user), config).await;
    /// println!("{drained}"); // 2 closed, 0 finished, 0 aborted, 0 remaining
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// The future panics when it is polled outside a tokio runtime with its timer enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not affect the tunnels: their shutdown requests stay in force.
    pub fn drain(
        &self,
        filter: impl Fn(&TunnelInfo) -> bool,
        config: DrainConfig,
    ) -> impl Future<Output = DrainSummary> + Send + 'static {
        // The filter is called without the lock.
        let selected = self.0.infos().into_iter().filter(|info| filter(info)).map(|info| info.id());
        self.0.drain(&selected.collect::<Vec<_>>(), Schedule::new(config))
    }

    /// Ends all tunnels, as [`drain`](Self::drain) does.
    pub(crate) fn drain_all(&self, config: DrainConfig) -> impl Future<Output = DrainSummary> + Send + use<> {
        let ids: Vec<_> = self.0.infos().iter().map(TunnelInfo::id).collect();
        self.0.drain(&ids, Schedule::new(config))
    }

    /// Ends one tunnel, as [`drain`](Self::drain) does.
    pub(crate) fn drain_one(&self, id: u64, config: DrainConfig) {
        drop(self.0.drain(&[id], Schedule::new(config)));
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.0
    }
}

impl Default for Tunnels {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels").field("len", &self.len()).finish_non_exhaustive()
    }
}
