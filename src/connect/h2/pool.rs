//! Which connections there are, and which of them takes the next stream.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use http::uri::{Authority, Scheme};
use tokio::{
    runtime::{self, Handle},
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

use super::{
    config::Http2,
    connection::{Connection, StreamPermit, open},
};
use crate::{
    connect::Purpose, connect::dial::Alpn, connect::dial::ConnectTimeouts, connect::dial::Dialer,
    error::BoxError, error::ConnectTimeout, error::NoStreamFree, io::transport::Transport, sync::Mutex,
    sync::MutexGuard, upstream::HttpVersion, upstream::Upstream,
};

/// For how long an upstream that can't be spoken to in HTTP/2 is not asked again.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How often who waits for a stream looks whether SETTINGS or GOAWAY have made one possible. The end
/// of a stream is told.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

const NO_EXTENDED_CONNECT: Option<&str> = Some("its SETTINGS do not allow extended CONNECT");

/// The connections of a layer, told apart by where they lead and by the runtime whose tasks move
/// them: on another they would wake its threads for each message, and they end with it.
#[derive(Default)]
pub(crate) struct Pool(Mutex<HashMap<Key, Arc<HostConnections>>>);

type Key = (Scheme, Authority, HttpVersion, runtime::Id);

/// What is known of one upstream.
#[derive(Default)]
struct HostConnections {
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Held by whoever opens the next connection. The others wait for what comes of it.
    opening: tokio::sync::Mutex<()>,
    notify_free: Arc<Notify>,
    refused: Mutex<Option<Refused>>,
}

/// Not in HTTP/2, and until when.
#[derive(Clone, Copy)]
struct Refused {
    until: Instant,
    /// Ordinary requests are possible.
    upgrades_alone: bool,
    reason: Option<&'static str>,
}

/// How a request gets to its upstream.
pub(crate) enum Route {
    Http2(StreamPermit),
    Http1 {
        /// One on which ALPN has just chosen it.
        transport: Option<Transport>,
        /// Why not in HTTP/2, when the upstream did not choose HTTP/1.1 itself.
        reason: Option<&'static str>,
    },
}

/// How to open and keep connections.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) dialer: &'a Dialer,
    pub(crate) http2: &'a Http2,
    pub(crate) timeouts: ConnectTimeouts,
}

impl Pool {
    /// A permit on a connection to `upstream`, or the way around.
    ///
    /// # Errors
    ///
    /// The cause, when no connection came about; [`ConnectTimeout`] when none came in time, and
    /// [`NoStreamFree`] when there may be no more.
    pub(crate) async fn route(
        &self,
        upstream: &Upstream,
        purpose: Purpose,
        terms: Terms<'_>,
    ) -> Result<Route, BoxError> {
        let host = self.host(upstream);
        if let Some(route) = host.known(purpose) {
            return Ok(route);
        }
        let deadline = Instant::now().checked_add(terms.timeouts.connect);
        let Some(deadline) = deadline else { return host.route(upstream, purpose, terms).await };
        match timeout_at(deadline, host.route(upstream, purpose, terms)).await {
            Ok(route) => route,
            Err(_) if host.is_full(terms.http2) => Err(NoStreamFree.into()),
            Err(_) => Err(ConnectTimeout.into()),
        }
    }

    fn host(&self, upstream: &Upstream) -> Arc<HostConnections> {
        let (scheme, authority) = upstream.pool_key().clone();
        let key = (scheme, authority, upstream.http_version(), Handle::current().id());
        let mut hosts = lock(&self.0);
        if !hosts.contains_key(&key) {
            hosts.retain(|_, host| host.is_needed());
        }
        Arc::clone(hosts.entry(key).or_default())
    }
}

impl HostConnections {
    /// Without waiting. A free permit is one, whatever another connection has said.
    fn known(self: &Arc<Self>, purpose: Purpose) -> Option<Route> {
        let mut connections = lock(&self.connections);
        connections.retain(|connection| connection.is_open());
        let permit = connections.iter().find_map(|connection| connection.reserve(&self.notify_free, purpose));
        if permit.is_some() {
            return permit.map(Route::Http2);
        }
        let silent = self.refused(purpose).is_none();
        if silent && connections.iter().any(|connection| !connection.suits(purpose)) {
            // It still holds: the next connection would say the same.
            self.refuse(NO_EXTENDED_CONNECT, true);
        }
        self.refused(purpose).map(|refused| Route::Http1 { transport: None, reason: refused.reason })
    }

    async fn route(
        self: &Arc<Self>,
        upstream: &Upstream,
        purpose: Purpose,
        terms: Terms<'_>,
    ) -> Result<Route, BoxError> {
        let _turn = self.opening.lock().await;
        loop {
            if let Some(route) = self.known(purpose) {
                return Ok(route);
            }
            if self.is_full(terms.http2) {
                let _ = timeout(LOOK_AGAIN, self.notify_free.notified()).await;
            } else if let Some(way_around) = self.connect(upstream, terms).await? {
                return Ok(way_around);
            }
        }
    }

    /// Opens a connection, or learns why there is none.
    async fn connect(&self, upstream: &Upstream, terms: Terms<'_>) -> Result<Option<Route>, BoxError> {
        let Terms { dialer, http2: config, timeouts } = terms;
        let transport = dialer.connect(upstream.address(), timeouts.connect, Alpn::Http2).await?;
        if !transport.speaks_http2() {
            self.refuse(None, false);
            return Ok(Some(Route::Http1 { transport: Some(transport), reason: None }));
        }
        // Half the time: the other half is for trying without.
        match timeout(timeouts.connect / 2, open(transport, config)).await {
            Ok(Ok((sender, frames))) => {
                let connection = Connection::start((sender, frames), config, timeouts.pool_idle);
                if !connection.suits(Purpose::Upgrade) {
                    self.refuse(NO_EXTENDED_CONNECT, true);
                }
                lock(&self.connections).push(connection);
            }
            // It may have been stopped just then.
            Ok(Err(error)) if !error.is_library() => {
                let reason = Some("it closed the connection before its SETTINGS");
                return Ok(Some(Route::Http1 { transport: None, reason }));
            }
            Ok(Err(_)) => self.refuse(Some("it does not speak HTTP/2"), false),
            Err(_) => self.refuse(Some("its HTTP/2 SETTINGS did not come in time"), false),
        }
        Ok(None)
    }

    fn refuse(&self, reason: Option<&'static str>, upgrades_alone: bool) {
        let until = Instant::now() + REMEMBERED;
        *lock(&self.refused) = Some(Refused { until, upgrades_alone, reason });
    }

    fn refused(&self, purpose: Purpose) -> Option<Refused> {
        let concerns = |refused: &Refused| {
            refused.until > Instant::now() && (purpose == Purpose::Upgrade || !refused.upgrades_alone)
        };
        (*lock(&self.refused)).filter(concerns)
    }

    fn is_full(&self, config: &Http2) -> bool {
        lock(&self.connections).len() >= config.max_connections
    }

    fn is_needed(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) > 1
            || self.refused(Purpose::Upgrade).is_some()
            || lock(&self.connections).iter().any(|connection| connection.is_open())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("upstreams", &lock(&self.0).len()).finish()
    }
}

#[cfg(all(test, upgrade_proxy_model))]
mod model;

#[cfg(test)]
mod tests {
    use std::{io, pin::pin};

    use http::Uri;
    use hyper_util::rt::TokioIo;
    use tokio::{io::duplex, time::sleep};
    use tower::service_fn;

    use super::*;
    use crate::connect::Connector;

    /// The way to a server of the `h2` crate, which enables no extended CONNECT and takes one stream at
    /// a time.
    struct Way {
        connector: Connector,
        opened: Arc<Mutex<usize>>,
        idle: Duration,
    }

    impl Way {
        fn new(idle: Duration) -> Self {
            let opened = Arc::<Mutex<usize>>::default();
            let count = Arc::clone(&opened);
            let mut connector = Connector::default();
            connector.set_custom(service_fn(move |_: Uri| {
                *lock(&count) += 1;
                let (ours, theirs) = duplex(1 << 16);
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    let handshake = builder.max_concurrent_streams(1).handshake::<_, bytes::Bytes>(theirs);
                    let mut connection = handshake.await.unwrap();
                    while connection.accept().await.is_some() {}
                });
                async { Ok::<_, io::Error>(TokioIo::new(ours)) }
            }));
            connector.set_http2(Http2::new().max_connections(1));
            Self { connector, opened, idle }
        }

        async fn route(&self, purpose: Purpose) -> Route {
            let upstream = Upstream::for_connector("test://a".parse().unwrap()).unwrap().http2();
            let timeouts = ConnectTimeouts { connect: Duration::from_secs(10), pool_idle: self.idle };
            self.connector.route(&upstream, purpose, timeouts).await.unwrap()
        }

        /// Asks for a permit, which there is none; how many connections have been opened by then.
        async fn refuses(&self) -> usize {
            let route = self.route(Purpose::Upgrade).await;
            assert!(matches!(route, Route::Http1 { transport: None, reason: NO_EXTENDED_CONNECT }));
            *lock(&self.opened)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_takes_no_upgrades_is_asked_again_after_a_minute() {
        let way = Way::new(Duration::from_secs(1));
        assert_eq!(way.refuses().await, 1);
        sleep(REMEMBERED - Duration::from_secs(1)).await;
        assert_eq!(way.refuses().await, 1);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(way.refuses().await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_not_asked_again_while_a_connection_to_it_is_open() {
        let way = Way::new(REMEMBERED * 60);
        for _ in 0..3 {
            assert_eq!(way.refuses().await, 1);
            sleep(REMEMBERED * 2).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_at_once_that_a_stream_has_ended() {
        let way = Way::new(REMEMBERED);
        let permit = way.route(Purpose::Requests).await;
        let mut waiting = pin!(way.route(Purpose::Requests));
        assert!(timeout(LOOK_AGAIN * 3 / 2, &mut waiting).await.is_err());
        drop(permit);
        let dropped = Instant::now();
        assert!(matches!(waiting.await, Route::Http2(_)));
        assert_eq!(dropped.elapsed(), Duration::ZERO);
    }
}
