//! Shared connections to one upstream.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Http1Fallback, Pool, Route, lock};
use crate::{
    connect::{
        dial::{Alpn, ConnectTimeouts},
        h2::{
            Http2, Purpose,
            connection::{SharedConnection, open},
        },
    },
    error::BoxError,
    sync::Mutex,
    upstream::Upstream,
};

/// Time for which HTTP/2 is not tried again after it was found not possible.
pub(super) const FALLBACK_PERIOD: Duration = Duration::from_secs(60);

/// Interval of the search for a free stream. The end of a stream is notified, but SETTINGS and GOAWAY frames,
/// which can make a stream possible too, are not.
pub(super) const SEARCH_INTERVAL: Duration = Duration::from_millis(100);

pub(super) const NO_EXTENDED_CONNECT: Option<&str> = Some("its SETTINGS do not allow extended CONNECT");

/// The connections to one upstream, and whether it takes HTTP/2.
#[derive(Default)]
pub(super) struct HostConnections {
    pub(super) connections: Mutex<Vec<Arc<SharedConnection>>>,
    /// Held while the next connection is opened. Other requests wait for the result.
    opening: tokio::sync::Mutex<()>,
    pub(super) notify_free: Arc<Notify>,
    obstacle: Mutex<Option<Obstacle>>,
}

/// An obstacle to HTTP/2.
#[derive(Clone, Copy)]
struct Obstacle {
    until: Instant,
    /// Ordinary requests are possible in HTTP/2.
    upgrades_only: bool,
    reason: Option<&'static str>,
}

impl HostConnections {
    /// Returns a route without waiting. A free stream of any connection is used, whatever obstacle another
    /// connection has met.
    pub(super) fn try_route(&self, purpose: Purpose) -> Option<Route> {
        let mut connections = lock(&self.connections);
        connections.retain(|connection| connection.is_open());
        let permit = connections.iter().find_map(|connection| connection.reserve(&self.notify_free, purpose));
        if permit.is_some() {
            return permit.map(Route::Http2);
        }
        let unobstructed = self.obstacle(purpose).is_none();
        if unobstructed && connections.iter().any(|connection| !connection.supports(purpose)) {
            // The SETTINGS of the next connection would be the same.
            self.set_obstacle(NO_EXTENDED_CONNECT, true);
        }
        let obstacle = self.obstacle(purpose)?;
        Some(Route::Http1(Http1Fallback { transport: None, reason: obstacle.reason }))
    }

    /// Waits for a free stream, or opens a connection.
    pub(super) async fn route(
        &self,
        pool: &Pool,
        upstream: &Upstream,
        purpose: Purpose,
        timeouts: ConnectTimeouts,
    ) -> Result<Route, BoxError> {
        let _turn = self.opening.lock().await;
        loop {
            if let Some(route) = self.try_route(purpose) {
                return Ok(route);
            }
            if self.is_full(&pool.http2) {
                let _ = timeout(SEARCH_INTERVAL, self.notify_free.notified()).await;
            } else if let Some(fallback) = self.connect(pool, upstream, timeouts).await? {
                return Ok(Route::Http1(fallback));
            }
        }
    }

    /// Opens a connection, or finds out why HTTP/2 is not possible. The fallback is for this request alone.
    async fn connect(
        &self,
        pool: &Pool,
        upstream: &Upstream,
        timeouts: ConnectTimeouts,
    ) -> Result<Option<Http1Fallback>, BoxError> {
        let transport = pool.dialer.connect(upstream.address(), timeouts.connect, Alpn::Http2).await?;
        if !transport.speaks_http2() {
            self.set_obstacle(None, false);
            return Ok(Some(Http1Fallback { transport: Some(transport), reason: None }));
        }
        // Half the time: the other half is for the attempt in HTTP/1.1.
        match timeout(timeouts.connect / 2, open(transport, &pool.http2)).await {
            Ok(Ok(opened)) => {
                let connection = SharedConnection::start(opened, &pool.http2, timeouts.pool_idle);
                if !connection.supports(Purpose::Upgrade) {
                    self.set_obstacle(NO_EXTENDED_CONNECT, true);
                }
                lock(&self.connections).push(connection);
            }
            // The upstream may have been stopped just then: the next request tries HTTP/2 again.
            Ok(Err(error)) if !error.is_library() => {
                let reason = Some("it closed the connection before its SETTINGS");
                return Ok(Some(Http1Fallback { transport: None, reason }));
            }
            Ok(Err(_)) => self.set_obstacle(Some("it does not support HTTP/2"), false),
            Err(_) => self.set_obstacle(Some("its HTTP/2 SETTINGS did not come in time"), false),
        }
        Ok(None)
    }

    fn set_obstacle(&self, reason: Option<&'static str>, upgrades_only: bool) {
        let until = Instant::now() + FALLBACK_PERIOD;
        *lock(&self.obstacle) = Some(Obstacle { until, upgrades_only, reason });
    }

    fn obstacle(&self, purpose: Purpose) -> Option<Obstacle> {
        let applies = |obstacle: &Obstacle| {
            obstacle.until > Instant::now() && (purpose == Purpose::Upgrade || !obstacle.upgrades_only)
        };
        (*lock(&self.obstacle)).filter(applies)
    }

    pub(super) fn is_full(&self, config: &Http2) -> bool {
        lock(&self.connections).len() >= config.max_connections
    }

    /// Returns true if a request uses it, or if it has a connection or an obstacle.
    pub(super) fn is_needed(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
            || self.obstacle(Purpose::Upgrade).is_some()
            || lock(&self.connections).iter().any(|connection| connection.is_open())
    }
}
