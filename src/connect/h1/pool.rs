//! [`Pool`]: idle HTTP/1.1 connections, for ordinary requests.
//!
//! A request takes the idle connection that was used last, or opens one; it never waits for another request's.
//! Connections are opened in the request's own future, so that a cancelled request leaves none behind.
//!
//! # Bounds
//!
//! Idle connections are bounded per upstream and in total, however many upstreams the requests name: the one that was
//! idle for longest is closed. An upstream without an idle connection costs no memory.
//!
//! # Idle connections
//!
//! No task waits for an idle connection. A connection is polled when it is taken, which finds it closed if the upstream
//! has closed it, and once a second by one task for the whole pool, which also closes those whose time is over.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use http::uri::{Authority, Scheme};
use tokio::{
    runtime::{self, Handle},
    time::Instant,
};

use super::pooled::{Lease, PooledConnection, User};
use crate::{
    connect::{
        connection_auth::ClientConnection,
        header_case::HeaderCase,
        sweep::{self, Sweep},
    },
    error::BoxError,
    io::transport::Transport,
    sync::{Mutex, MutexGuard},
    upstream::Upstream,
};

/// Longest interval between two checks of the idle connections.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Shortest interval between two checks.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Capacity below which the map of upstreams is never shrunk.
const SMALL: usize = 64;

/// Bounds of the idle connections of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleLimits {
    pub(crate) per_upstream: usize,
    pub(crate) total: usize,
    pub(crate) timeout: Duration,
}

/// The idle connections of a service, by upstream and by the runtime that drives their sockets.
pub(crate) struct Pool {
    limits: IdleLimits,
    pub(super) case: HeaderCase,
    idle: Mutex<IdleConnections>,
}

pub(super) type Key = (Scheme, Authority, runtime::Id);

#[derive(Default)]
struct IdleConnections {
    /// Of each upstream that has any, by the order in which they became idle.
    upstreams: HashMap<Key, BTreeMap<u64, Idle>>,
    /// The upstream of each connection.
    order: BTreeMap<u64, Key>,
    next: u64,
    /// The task that checks them runs.
    is_checked: bool,
}

struct Idle {
    connection: PooledConnection,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(limits: IdleLimits, case: HeaderCase) -> Arc<Self> {
        Arc::new(Self { limits, case, idle: Mutex::default() })
    }

    /// Takes an idle connection to `upstream`: preferably one that only `client` may use, else one for any client.
    pub(crate) fn take(
        self: &Arc<Self>,
        upstream: &Upstream,
        client: Option<&ClientConnection>,
    ) -> Option<Lease> {
        let key = key(upstream);
        loop {
            let Idle { mut connection, since } = self.idle().take(&key, client)?;
            if since.elapsed() < self.limits.timeout && connection.is_idle() {
                return Some(Lease { connection, pool: Arc::clone(self), key });
            }
            connection.close();
        }
    }

    /// Starts HTTP on a new connection to `upstream`.
    pub(crate) async fn start(
        self: &Arc<Self>,
        upstream: &Upstream,
        transport: Transport,
    ) -> Result<Lease, BoxError> {
        let connection = PooledConnection::start(transport, self.case).await?;
        Ok(Lease { connection, pool: Arc::clone(self), key: key(upstream) })
    }

    /// Puts a connection that is idle into the pool.
    pub(super) fn put(self: Arc<Self>, key: Key, connection: PooledConnection) {
        // A body may be dropped outside of any runtime.
        let Ok(runtime) = Handle::try_current() else { return connection.close() };
        let limits = self.limits;
        if limits.per_upstream == 0 || limits.total == 0 || limits.timeout.is_zero() {
            return connection.close();
        }
        let mut idle = self.idle();
        let closed = idle.put(key, connection, limits);
        let is_checked = std::mem::replace(&mut idle.is_checked, true);
        drop(idle);
        if let Some(closed) = closed {
            closed.close();
        }
        if !is_checked {
            let interval = limits.timeout.clamp(MIN_CHECK_INTERVAL, CHECK_INTERVAL);
            sweep::start(&self, &runtime, interval);
        }
    }

    fn idle(&self) -> MutexGuard<'_, IdleConnections> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sweep for Pool {
    /// Closes the connections whose time is over, whose client has gone, or which the upstream has closed.
    fn sweep(&self) -> bool {
        let mut idle = self.idle();
        let closed = idle.remove_unusable(self.limits.timeout);
        let is_left = !idle.order.is_empty();
        idle.is_checked = is_left;
        drop(idle);
        closed.into_iter().for_each(PooledConnection::close);
        is_left
    }

    fn stopped(&self) {
        self.idle().is_checked = false;
    }
}

fn key(upstream: &Upstream) -> Key {
    let (scheme, authority) = upstream.pool_key().clone();
    (scheme, authority, Handle::current().id())
}

impl IdleConnections {
    fn take(&mut self, key: &Key, client: Option<&ClientConnection>) -> Option<Idle> {
        let connections = self.upstreams.get(key)?;
        let newest = |is_usable: &dyn Fn(&User) -> bool| {
            connections
                .iter()
                .rev()
                .find(|(_, idle)| is_usable(&idle.connection.user))
                .map(|(number, _)| *number)
        };
        let own = client.and_then(|client| newest(&|user| matches!(user, User::One(id) if id.is(client))));
        let number = own.or_else(|| newest(&|user| matches!(user, User::Any)))?;
        self.remove(number)
    }

    /// Returns the connection that has to be closed instead.
    fn put(
        &mut self,
        key: Key,
        connection: PooledConnection,
        limits: IdleLimits,
    ) -> Option<PooledConnection> {
        let number = self.next;
        self.next += 1;
        self.order.insert(number, key.clone());
        let connections = self.upstreams.entry(key).or_default();
        connections.insert(number, Idle { connection, since: Instant::now() });
        let surplus = match connections.len() > limits.per_upstream {
            true => connections.keys().next().copied(),
            false if self.order.len() > limits.total => self.order.keys().next().copied(),
            false => None,
        };
        surplus.and_then(|number| self.remove(number)).map(|idle| idle.connection)
    }

    fn remove_unusable(&mut self, timeout: Duration) -> Vec<PooledConnection> {
        let is_over = |idle: &mut Idle| {
            let has_user = !matches!(&idle.connection.user, User::One(client) if client.has_ended());
            !has_user || idle.since.elapsed() >= timeout || !idle.connection.is_idle()
        };
        let all = self.upstreams.values_mut().flatten();
        let over: Vec<_> = all.filter_map(|(number, idle)| is_over(idle).then_some(*number)).collect();
        over.into_iter().filter_map(|number| self.remove(number)).map(|idle| idle.connection).collect()
    }

    fn remove(&mut self, number: u64) -> Option<Idle> {
        let key = self.order.remove(&number)?;
        let connections = self.upstreams.get_mut(&key)?;
        let idle = connections.remove(&number);
        if connections.is_empty() {
            self.upstreams.remove(&key);
            if self.upstreams.capacity() > SMALL.max(4 * self.upstreams.len()) {
                self.upstreams.shrink_to(2 * self.upstreams.len());
            }
        }
        idle
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limits", &self.limits).field("idle", &self.idle().order.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{DuplexStream, duplex},
        time::sleep,
    };

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Puts an idle connection to an upstream into the pool. Returns the upstream's end.
    async fn put(pool: &Arc<Pool>, number: usize) -> DuplexStream {
        let upstream = Upstream::for_connector(format!("test://a{number}").parse().unwrap()).unwrap();
        let (client, server) = duplex(64);
        let transport = Transport::from_hyper(TokioIo::new(client));
        let Lease { mut connection, key, .. } = pool.start(&upstream, transport).await.unwrap();
        assert!(connection.is_idle());
        Arc::clone(pool).put(key, connection);
        server
    }

    fn pool(total: usize) -> Arc<Pool> {
        let limits = IdleLimits { per_upstream: 2, total, timeout: MINUTE };
        Pool::new(limits, HeaderCase::default())
    }

    #[tokio::test(start_paused = true)]
    async fn many_upstreams_cost_no_more_than_their_idle_connections() {
        let pool = pool(10);
        for number in 0..1000 {
            put(&pool, number).await;
            let idle = pool.idle();
            assert!(idle.order.len() <= 10 && idle.upstreams.len() == idle.order.len());
        }
        assert!(pool.idle().upstreams.capacity() <= 2 * SMALL);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_closed_when_their_time_is_over_or_the_upstream_closes_them() {
        let pool = pool(10);
        let closed = put(&pool, 1).await;
        let open = put(&pool, 2).await;
        drop(closed);
        sleep(CHECK_INTERVAL * 3 / 2).await;
        assert_eq!(pool.idle().order.len(), 1);
        sleep(MINUTE).await;
        let idle = pool.idle();
        assert!(idle.order.is_empty() && idle.upstreams.is_empty() && !idle.is_checked);
        drop(open);
    }
}
