//! Pools: many upstreams for one layer.
//!
//! A pool counts what its endpoints have now: a [`Lease`] is one unit, from the choice of the endpoint until the tunnel, or the body of
//! the response, has ended. Counts belong to the id of an endpoint ([`member`]) and not to the set, so that they survive its changes.
//!
//! | event | value |
//! | --- | --- |
//! | a request arrives | a [`Selection`], which knows the endpoints that have failed for it |
//! | an endpoint is chosen | a [`Lease`], counted under the lock that chose it ([`members`], [`balance`]) |
//! | it fails several times in a row | it is not chosen for a while ([`outlier`]) |
//! | no connection to it | the lease is dropped, and another endpoint is chosen |
//! | the tunnel opens | its task has the lease, and the endpoint's list has the tunnel |
//! | the tunnel or the body of the response ends | the lease is dropped |
//! | the endpoint is removed or disabled | its tunnels are drained, also those whose handshakes are in flight |

mod balance;
mod cookie;
mod endpoint;
mod inflow;
mod key;
mod member;
mod members;
mod outlier;
mod rendezvous;
mod retry;
mod selection;
mod status;
mod sticky;

use std::{
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, PoisonError},
    time::Duration,
};

use http::request::Parts;
use tokio::time::Instant;
use tower::retry::budget::TpsBudget;

use crate::{
    metrics,
    registry::{DrainConfig, DrainSummary},
    sync::{Mutex, MutexGuard},
    trace,
};
pub use balance::{Balance, Candidate, Choose};
pub use endpoint::Endpoint;
pub use key::Key;
pub(crate) use member::Lease;
pub(crate) use members::Purpose;
use members::{Choice, Members, Unavailable};
pub use outlier::Outlier;
pub use retry::Retry;
pub(crate) use selection::{Selected, Selection, Target};
pub use status::{EndpointState, EndpointStatus};
pub use sticky::{InvalidCookieName, Sticky};

/// A set of upstreams that share the tunnels and requests of any number of layers.
///
/// Clones share the endpoints and their counts; a setting changes only the clone it is called on. In the extensions of a request, a pool
/// overrides that of the layer, as an [`Upstream`](crate::Upstream) does.
///
/// ```
/// use tower_upgrade_proxy::{Pool, UpgradeProxyLayer};
///
/// let pool = Pool::new(["http://10.0.0.1:9000".parse()?, "http://10.0.0.2:9000".parse()?]);
/// let layer = UpgradeProxyLayer::pool(&pool);
///
/// pool.set(["http://10.0.0.2:9000".parse()?, "http://10.0.0.3:9000".parse()?]);
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
///
/// # Failover
///
/// If no connection to an endpoint can be opened, or if it has not processed a request in HTTP/2
/// ([RFC 9113, 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)), the request is sent to another one, up to
/// [`attempts`](Self::attempts) times, as long as there are few such requests: 20 % of all, and ten a second, over ten seconds. A request of
/// which a byte may have been sent is not.
#[derive(Clone)]
pub struct Pool {
    settings: Arc<Settings>,
    members: Arc<Mutex<Members>>,
    budget: Arc<TpsBudget>,
}

#[derive(Clone)]
struct Settings {
    retry: Retry,
    name: Arc<str>,
    slow_start: Duration,
    max_opens: Option<NonZeroU32>,
    balance: Balance,
    attempts: usize,
    max_load: usize,
    outlier: Option<Outlier>,
    sticky: Option<Sticky>,
    on_removed: DrainConfig,
}

/// What a request says about its endpoint.
#[derive(Clone, Copy)]
struct Hints {
    /// Hash of the key of the policy.
    key: Option<u64>,
    /// Value of the sticky cookie.
    wanted: Option<u64>,
    purpose: Purpose,
}

impl Pool {
    /// Creates a pool of these endpoints. It may be empty: requests get a 503 then.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let settings = Settings {
            retry: Retry::default(),
            name: "default".into(),
            slow_start: Duration::ZERO,
            max_opens: None,
            balance: Balance::default(),
            attempts: 3,
            max_load: usize::MAX,
            outlier: Some(Outlier::new()),
            sticky: None,
            on_removed: DrainConfig::default(),
        };
        let mut members = Members::default();
        members.replace(endpoints, None, &settings.on_removed);
        let members = Arc::new(Mutex::new(members));
        Self { settings: Arc::new(settings), members, budget: Arc::new(retry::budget()) }
    }

    /// Sets the name, a label of the metrics. Default `default`.
    #[must_use]
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        self.with(|settings| settings.name = name.into())
    }

    /// Sets the time over which an endpoint that was added, enabled or ejected comes to its full weight. Default zero.
    ///
    /// Without it, [`Balance::least_tunnels`] gives it all new tunnels until it has as many as the others, whatever its caches say.
    /// At first it has a tenth of its weight. [`Balance::rendezvous`] is not affected: its keys would move twice.
    #[must_use]
    pub fn slow_start(self, time: Duration) -> Self {
        self.with(|settings| settings.slow_start = time)
    }

    /// Sets the maximum number of upgrades that an endpoint gets in a second, with bursts of as many; `None`: no limit. Others get the
    /// rest, and if all have their number, the limit is ignored. The upgrades of a sticky cookie are not limited. Default none.
    ///
    /// It protects an endpoint that is new, and those that are left when one has failed and all its clients come back at once.
    #[must_use]
    pub fn max_opens_per_second(self, limit: impl Into<Option<NonZeroU32>>) -> Self {
        self.with(|settings| settings.max_opens = limit.into())
    }

    /// Sets the policy for the choice of an endpoint. Default [`Balance::least_tunnels`].
    #[must_use]
    pub fn balance(self, balance: Balance) -> Self {
        self.with(|settings| settings.balance = balance)
    }

    /// Sets the maximum number of endpoints that are tried for one request, at least 1. Default 3.
    #[must_use]
    pub fn attempts(self, attempts: usize) -> Self {
        self.with(|settings| settings.attempts = attempts.max(1))
    }

    /// Sets which requests are sent to another endpoint. Default [`Retry::Unsent`].
    #[must_use]
    pub fn retry(self, retry: Retry) -> Self {
        self.with(|settings| settings.retry = retry)
    }

    /// Sets the maximum number of tunnels, handshakes and requests of one endpoint together. An endpoint that has them is not chosen; if all
    /// have, the request gets a 503. Default no limit.
    #[must_use]
    pub fn max_tunnels_per_endpoint(self, limit: usize) -> Self {
        self.with(|settings| settings.max_load = limit)
    }

    /// Sets the cookie by which a client's requests and upgrades go to one endpoint. It takes precedence over the policy. Default none.
    #[must_use]
    pub fn sticky(self, sticky: impl Into<Option<Sticky>>) -> Self {
        self.with(|settings| settings.sticky = sticky.into())
    }

    /// Sets when endpoints that fail are not chosen for a while; `None`: never. Default [`Outlier::new`].
    #[must_use]
    pub fn outlier(self, outlier: impl Into<Option<Outlier>>) -> Self {
        self.with(|settings| settings.outlier = outlier.into())
    }

    /// Sets how the tunnels of an endpoint end that [`set`](Self::set) removes. Default [`DrainConfig::new`]: within 30 s.
    #[must_use]
    pub fn on_removed(self, config: DrainConfig) -> Self {
        self.with(|settings| settings.on_removed = config)
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    /// Replaces the set of endpoints. Those whose ids are in both sets keep their tunnels, counts and state; the tunnels of the others are
    /// drained ([`on_removed`](Self::on_removed)), and their requests complete.
    pub fn set(&self, endpoints: impl IntoIterator<Item = Endpoint>) {
        // The iterator is the application's, and runs without the lock.
        let endpoints: Vec<_> = endpoints.into_iter().collect();
        let on_removed = &self.settings.on_removed;
        let removed = self.members().replace(endpoints, Some(Instant::now()), on_removed);
        for member in removed {
            drop(member.tunnels.drain_all(on_removed.clone()));
        }
    }

    /// Takes an endpoint out of use, and ends its tunnels. Its requests complete. Returns the number of tunnels by their ends; `None` if
    /// there is no endpoint with this id.
    ///
    /// The endpoint is out of use when the call returns, and each of its tunnels has its shutdown request.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not affect the tunnels.
    pub fn disable(
        &self,
        id: &str,
        config: DrainConfig,
    ) -> impl Future<Output = Option<DrainSummary>> + Send + 'static {
        let member = self.members().get_mut(id).map(|entry| {
            entry.is_enabled = false;
            entry.member.leave(&config);
            Arc::clone(&entry.member)
        });
        let drained = member.map(|member| member.tunnels.drain_all(config));
        async move {
            match drained {
                Some(drained) => Some(drained.await),
                None => None,
            }
        }
    }

    /// Puts an endpoint into use again. Returns false if there is none with this id.
    #[allow(clippy::must_use_candidate, reason = "an unknown id may be expected")]
    pub fn enable(&self, id: &str) -> bool {
        let mut members = self.members();
        let Some(entry) = members.get_mut(id) else { return false };
        entry.is_enabled = true;
        entry.since = Some(Instant::now());
        entry.member.stay();
        true
    }

    /// Sets the weight of an endpoint, until [`set`](Self::set) changes it. Returns false if there is none with this id.
    #[allow(clippy::must_use_candidate, reason = "an unknown id may be expected")]
    pub fn set_weight(&self, id: &str, weight: u16) -> bool {
        let mut members = self.members();
        let Some(entry) = members.get_mut(id) else { return false };
        entry.endpoint.weight = weight;
        true
    }

    /// Snapshot of the endpoints, in the order of the set.
    #[must_use]
    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.members().entries.iter().map(EndpointStatus::of).collect()
    }

    /// Counts a failure of an endpoint, and ejects it if it has too many.
    fn failed(&self, lease: &Lease) {
        let Some(outlier) = &self.settings.outlier else { return };
        let member = lease.member();
        if member.fail(outlier.failures)
            && let Some(time) = self.members().eject(&member.id, outlier)
        {
            trace::ejected(&member.id, outlier.failures, time);
            metrics::ejected(&self.settings.name);
        }
    }

    /// Ends a row of failures.
    fn succeeded(&self, lease: &Lease) {
        if lease.member().succeed() {
            trace::readmitted(&lease.member().id);
        }
    }

    /// Returns the hash of the request's key, if the policy has one.
    fn key(&self, parts: &Parts, client: Option<IpAddr>) -> Option<u64> {
        match &self.settings.balance.policy {
            balance::Policy::Rendezvous(key) => key.hash(parts, client),
            _ => None,
        }
    }

    /// Chooses an endpoint that is not in `tried`.
    fn lease(&self, request: &Parts, tried: &[Arc<str>], hints: Hints) -> Result<Lease, Unavailable> {
        let Settings { balance, max_load, sticky, slow_start, max_opens, .. } = &*self.settings;
        let Hints { key, wanted, purpose } = hints;
        let choice = Choice {
            balance,
            max_load: *max_load,
            slow_start: *slow_start,
            max_opens: *max_opens,
            key,
            request,
            tried,
            sticky: sticky.as_ref(),
            wanted,
            purpose,
        };
        self.members().choose(&choice)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.members().entries.iter().map(|entry| entry.endpoint.clone()).collect();
        f.debug_struct("Pool")
            .field("endpoints", &endpoints)
            .field("balance", &self.settings.balance)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, upgrade_proxy_model))]
mod model;
#[cfg(test)]
mod tests;
