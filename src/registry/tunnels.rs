//! [`Tunnels`]: the tunnels that stand just now.

use std::{fmt, sync::Arc};

use super::{
    config::DrainConfig, drain_summary::DrainSummary, registry::Registry, schedule::Schedule,
    status::TunnelStatus,
};
use crate::on_tunnel::TunnelInfo;

/// The live tunnels of any number of layers, to be listed and to be drained.
///
/// A handle: clones show the same tunnels. A tunnel is there from the verified 101 to its end, until
/// [`OnTunnel::on_close`](crate::OnTunnel::on_close) has returned, whichever runtime it belongs to. It costs
/// two small allocations and a short lock when it opens, a short lock when it ends, and a few stores when bytes
/// have moved; a layer without a registry pays nothing.
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
#[derive(Clone, Default)]
pub struct Tunnels(Arc<Registry>);

impl Tunnels {
    /// Without a tunnel yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them as they are now, by id, which is the order in which they opened.
    #[must_use]
    pub fn list(&self) -> Vec<TunnelStatus> {
        let mut list = self.0.list();
        list.sort_unstable_by_key(|tunnel| tunnel.info().id());
        list
    }

    /// One of them as it is now; `None` when it has ended.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<TunnelStatus> {
        self.0.get(id)
    }

    /// Ends the tunnels of which `filter` says so, as [`Drain::shutdown`](crate::Drain::shutdown) ends all:
    /// of one user, to one upstream, or one alone. Both sides are told, have [`grace`](DrainConfig::grace)
    /// to answer, and are cut then.
    ///
    /// The tunnels are told to end by the call itself, before it returns. Those that open later are not
    /// affected, nor are handshakes under way: first revoke the session or take the upstream out of use,
    /// then drain.
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
    /// The future does when it is polled outside a tokio runtime with its timer enabled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for the tunnels: they end as they were told to.
    pub fn drain(
        &self,
        filter: impl Fn(&TunnelInfo) -> bool,
        config: DrainConfig,
    ) -> impl Future<Output = DrainSummary> + Send + 'static {
        let chosen = self.0.infos().into_iter().filter(|info| filter(info)).map(|info| info.id());
        self.0.drain(&chosen.collect::<Vec<_>>(), Schedule::new(config)).drained()
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.0
    }
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnels").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, upgrade_proxy_model))]
mod model;
#[cfg(test)]
pub(crate) mod tests;
