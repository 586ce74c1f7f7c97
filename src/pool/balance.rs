//! [`Balance`]: the policy by which a pool chooses an endpoint.

use std::{cmp::Ordering, fmt, sync::Arc};

use http::request::Parts;

use super::{key::Key, members::Entry, rendezvous};

/// The policy by which a [`Pool`](crate::Pool) chooses an endpoint for a request.
///
/// | policy | for |
/// | --- | --- |
/// | [`least_tunnels`](Self::least_tunnels) | tunnels of any kind: the default |
/// | [`p2c`](Self::p2c) | the same with hundreds of endpoints, or several proxies that do not know of each other's tunnels |
/// | [`rendezvous`](Self::rendezvous) | rooms, games, notebooks: everybody with one key on one endpoint |
/// | [`round_robin`](Self::round_robin), [`random`](Self::random) | ordinary requests of equal cost |
///
/// Weights divide the load in every policy.
#[derive(Clone)]
pub struct Balance {
    pub(super) policy: Policy,
    pub(super) bound: Option<f64>,
}

#[derive(Clone)]
pub(super) enum Policy {
    LeastTunnels,
    P2c,
    RoundRobin,
    Random,
    Rendezvous(Key),
    Custom(Arc<dyn Choose>),
}

/// A policy of the application, for [`Balance::custom`].
///
/// ```
/// use http::request::Parts;
/// use tower_upgrade_proxy::{Balance, Candidate, Choose};
///
/// /// The first endpoint until it has a hundred tunnels, then the second, and so on.
/// struct Fill;
///
/// impl Choose for Fill {
///     fn choose(&self, candidates: &[Candidate<'_>], _: &Parts) -> usize {
///         candidates.iter().position(|candidate| candidate.load() < 100).unwrap_or(0)
///     }
/// }
///
/// let balance = Balance::custom(Fill);
/// ```
pub trait Choose: Send + Sync + 'static {
    /// Returns the index of the chosen candidate. There is at least one; an index that is too large chooses the last.
    ///
    /// `request` is the head of the client's request. Called under the lock of the pool, so that it must neither wait nor use the
    /// pool.
    fn choose(&self, candidates: &[Candidate<'_>], request: &Parts) -> usize;
}

/// An endpoint that can be chosen, with its load.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    id: &'a str,
    weight: u16,
    load: usize,
}

impl Candidate<'_> {
    /// The id of the endpoint.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id
    }

    /// The weight of the endpoint, at least 1.
    #[must_use]
    pub fn weight(&self) -> u16 {
        self.weight
    }

    /// Number of its open tunnels, handshakes in flight and ordinary requests.
    #[must_use]
    pub fn load(&self) -> usize {
        self.load
    }
}

impl Balance {
    fn new(policy: Policy) -> Self {
        Self { policy, bound: None }
    }

    /// The endpoint with the fewest open tunnels, handshakes in flight and ordinary requests, in relation to its weight; a random
    /// one of those that are equal. A tunnel counts until it ends. The default.
    #[must_use]
    pub fn least_tunnels() -> Self {
        Self::new(Policy::LeastTunnels)
    }

    /// The better of two random endpoints ("power of two choices"), by the same count as [`least_tunnels`](Self::least_tunnels).
    #[must_use]
    pub fn p2c() -> Self {
        Self::new(Policy::P2c)
    }

    /// Each endpoint in turn, those with a larger weight more often (nginx's smooth weighted round robin).
    #[must_use]
    pub fn round_robin() -> Self {
        Self::new(Policy::RoundRobin)
    }

    /// A random endpoint.
    #[must_use]
    pub fn random() -> Self {
        Self::new(Policy::Random)
    }

    /// The endpoint that the key of the request chooses ("highest random weight" hashing). All proxies with the same endpoints
    /// choose the same one. When one of N endpoints leaves, only its keys move.
    ///
    /// One hot key can overload its endpoint: [`bounded`](Self::bounded).
    #[must_use]
    pub fn rendezvous(key: Key) -> Self {
        Self::new(Policy::Rendezvous(key))
    }

    /// The policy of the application.
    #[must_use]
    pub fn custom(choose: impl Choose) -> Self {
        Self::new(Policy::Custom(Arc::new(choose)))
    }

    /// Limits the load of each endpoint to this multiple of its share, at least 1: further requests go to the next best one
    /// ("consistent hashing with bounded loads"). Default none.
    #[must_use]
    pub fn bounded(mut self, factor: f64) -> Self {
        self.bound = Some(if factor.is_nan() { 1.0 } else { factor.max(1.0) });
        self
    }
}

impl Default for Balance {
    fn default() -> Self {
        Self::least_tunnels()
    }
}

impl Policy {
    /// Returns the chosen one of `candidates`, which are indices of entries with a weight. There is at least one.
    pub(super) fn choose(
        &self,
        entries: &mut [Entry],
        candidates: &[usize],
        key: Option<u64>,
        request: &Parts,
    ) -> usize {
        match self {
            Self::LeastTunnels => least(entries, candidates),
            Self::P2c => p2c(entries, candidates),
            Self::RoundRobin => round_robin(entries, candidates),
            Self::Random => weighted(entries, candidates, None),
            Self::Rendezvous(_) => match key {
                Some(key) => rendezvous::choose(entries, candidates, key),
                None => least(entries, candidates),
            },
            Self::Custom(choose) => {
                let views: Vec<_> = candidates.iter().map(|&index| entries[index].candidate()).collect();
                candidates[choose.choose(&views, request).min(candidates.len() - 1)]
            }
        }
    }
}

impl Entry {
    fn candidate(&self) -> Candidate<'_> {
        Candidate { id: &self.endpoint.id, weight: self.endpoint.weight, load: self.member.load() }
    }

    /// Compares the loads that both would have with one more, in relation to their weights.
    fn compare_load(&self, other: &Self) -> Ordering {
        let scaled = |load: usize, weight: u32| (load as u128 + 1) * u128::from(weight);
        scaled(self.member.load(), other.effective_weight())
            .cmp(&scaled(other.member.load(), self.effective_weight()))
    }
}

/// Returns the candidate with the least load, a random one of those that are equal: the first from a random start.
fn least(entries: &[Entry], candidates: &[usize]) -> usize {
    let (before, after) = candidates.split_at(fastrand::usize(..candidates.len()));
    let all = after.iter().chain(before).copied();
    all.min_by(|&one, &other| entries[one].compare_load(&entries[other])).unwrap_or(candidates[0])
}

fn p2c(entries: &[Entry], candidates: &[usize]) -> usize {
    let one = weighted(entries, candidates, None);
    if candidates.len() == 1 {
        return one;
    }
    let other = weighted(entries, candidates, Some(one));
    match entries[other].compare_load(&entries[one]) {
        Ordering::Less => other,
        _ => one,
    }
}

/// Returns a random candidate, by weight, but not `except` if there are others.
fn weighted(entries: &[Entry], candidates: &[usize], except: Option<usize>) -> usize {
    let others = || candidates.iter().copied().filter(|&index| Some(index) != except);
    let total: u64 = others().map(|index| u64::from(entries[index].effective_weight())).sum();
    let mut left = fastrand::u64(..total.max(1));
    for index in others() {
        let weight = u64::from(entries[index].effective_weight());
        if left < weight {
            return index;
        }
        left -= weight;
    }
    candidates[0]
}

fn round_robin(entries: &mut [Entry], candidates: &[usize]) -> usize {
    let (mut total, mut best) = (0, candidates[0]);
    for &index in candidates {
        let weight = i64::from(entries[index].effective_weight());
        entries[index].current += weight;
        total += weight;
        if entries[index].current > entries[best].current {
            best = index;
        }
    }
    entries[best].current -= total;
    best
}

impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = match &self.policy {
            Policy::LeastTunnels => "least_tunnels".to_owned(),
            Policy::P2c => "p2c".to_owned(),
            Policy::RoundRobin => "round_robin".to_owned(),
            Policy::Random => "random".to_owned(),
            Policy::Rendezvous(key) => format!("rendezvous by {key:?}"),
            Policy::Custom(_) => "custom".to_owned(),
        };
        f.debug_struct("Balance").field("policy", &policy).field("bound", &self.bound).finish()
    }
}
