//! Pool of shared connections: selects the one for the next stream.

mod host;
mod pruned;

use std::{
    fmt,
    sync::{Arc, PoisonError},
};

use http::uri::{Authority, Scheme};
use tokio::{
    runtime::{self, Handle},
    time::{Instant, timeout_at},
};

use super::{
    config::Http2,
    connection::{Purpose, StreamPermit},
};
use crate::{
    connect::dial::{ConnectTimeouts, Dialer},
    error::{BoxError, ConnectTimeout, NoStreamFree},
    io::transport::Transport,
    sync::{Mutex, MutexGuard},
    upstream::{HttpVersion, Upstream},
};
use host::HostConnections;
use pruned::Pruned;

/// The shared connections of a layer, by upstream and by the runtime whose tasks drive them. A connection of
/// another runtime would wake that runtime's threads for each message, and would end with it.
#[derive(Default)]
pub(crate) struct Pool {
    dialer: Dialer,
    http2: Http2,
    hosts: Mutex<Pruned<Key, Arc<HostConnections>>>,
}

type Key = (Scheme, Authority, HttpVersion, runtime::Id);

/// The version of HTTP for a request.
pub(crate) enum Route {
    Http2(StreamPermit),
    Http1(Http1Fallback),
}

/// HTTP/1.1 in the place of HTTP/2.
#[derive(Default)]
pub(crate) struct Http1Fallback {
    /// An open connection for which ALPN has selected HTTP/1.1.
    pub(crate) transport: Option<Transport>,
    /// The obstacle to HTTP/2. `None` if the upstream selected HTTP/1.1.
    pub(crate) reason: Option<&'static str>,
}

impl Pool {
    pub(crate) fn new(dialer: Dialer, http2: Http2) -> Self {
        Self { dialer, http2, hosts: Mutex::default() }
    }

    pub(crate) fn dialer(&self) -> &Dialer {
        &self.dialer
    }

    /// Returns the arguments of [`new`](Self::new).
    pub(crate) fn settings(&self) -> (Dialer, Http2) {
        (self.dialer.clone(), self.http2.clone())
    }

    /// Returns a permit for a stream to `upstream`, or the fallback to HTTP/1.1. Waits for a free stream, or
    /// opens a connection, for no longer than the connect timeout.
    ///
    /// # Errors
    ///
    /// The cause, when no connection could be opened; [`ConnectTimeout`]; and [`NoStreamFree`] when the
    /// timeout expires with all connections full.
    pub(crate) async fn route(
        &self,
        upstream: &Upstream,
        purpose: Purpose,
        timeouts: ConnectTimeouts,
    ) -> Result<Route, BoxError> {
        let host = self.host(upstream);
        if let Some(route) = host.try_route(purpose) {
            return Ok(route);
        }
        let route = host.route(self, upstream, purpose, timeouts);
        let Some(deadline) = Instant::now().checked_add(timeouts.connect) else { return route.await };
        match timeout_at(deadline, route).await {
            Ok(route) => route,
            Err(_) if host.is_full(&self.http2) => Err(NoStreamFree.into()),
            Err(_) => Err(ConnectTimeout.into()),
        }
    }

    fn host(&self, upstream: &Upstream) -> Arc<HostConnections> {
        let (scheme, authority) = upstream.pool_key().clone();
        let key = (scheme, authority, upstream.http_version(), Handle::current().id());
        lock(&self.hosts).get(key, HostConnections::is_needed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("upstreams", &lock(&self.hosts).len()).finish()
    }
}

#[cfg(all(test, upgrade_proxy_model))]
mod model;
#[cfg(test)]
mod tests;
