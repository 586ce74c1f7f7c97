//! [`Connector`]: the version of HTTP for each upstream, and the connections to it.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use http::{Request, Response, Uri};
use tower_service::Service;

use super::{
    connection_auth::ConnectionAuth,
    dial::{Alpn, ConnectTimeouts, Dialer},
    h2::{
        self, ConnectionLost, Http1Required, Http2, Purpose, ResponseStream, Unprocessed,
        pool::{Http1Fallback, Pool, Route},
    },
    header_case::HeaderCase,
};
use crate::{
    body::Outgoing,
    error::{BoxError, Error, Kind},
    io::transport::Transport,
    metrics,
    upstream::{Address, HttpVersion, Upstream},
};

/// Limit on the attempts to send a request, if the upstream does not process it.
pub(crate) const ATTEMPTS: usize = 3;

/// Opens and shares the connections of a layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connector {
    pub(crate) header_case: HeaderCase,
    pub(crate) connection_auth: ConnectionAuth,
    /// Replaced, with its connections, when a setting for opening connections changes.
    pool: Arc<Pool>,
}

/// A request to be sent in HTTP/2.
pub(crate) struct Http2Request<F> {
    pub(crate) purpose: Purpose,
    /// Returns the request for an attempt. Attempts are counted from 1.
    pub(crate) make: F,
    /// Limit on the attempts, at least 1.
    pub(crate) attempts: usize,
    /// The request may be sent again after it may have been processed.
    pub(crate) is_repeatable: bool,
    /// Limit on the wait for the response head in one attempt.
    pub(crate) timeout: Option<Duration>,
}

/// Result of sending a request in HTTP/2.
pub(crate) enum Http2Attempt {
    Response(Response<()>, ResponseStream),
    /// Not sent: the upstream takes this request in HTTP/1.1 only.
    Http1(Http1Fallback),
}

impl Connector {
    /// Sets the application's connector, which opens all connections but those to unix sockets.
    pub(crate) fn set_custom<C>(&mut self, service: C)
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        self.replace_pool(|dialer, _| dialer.set_custom(service));
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn set_tls(&mut self, tls: super::tls::Tls) {
        self.replace_pool(|dialer, _| dialer.tls = tls);
    }

    pub(crate) fn set_http2(&mut self, config: Http2) {
        self.replace_pool(|_, http2| *http2 = config);
    }

    fn replace_pool(&mut self, change: impl FnOnce(&mut Dialer, &mut Http2)) {
        let (mut dialer, mut http2) = self.pool.settings();
        change(&mut dialer, &mut http2);
        self.pool = Arc::new(Pool::new(dialer, http2));
    }

    /// Opens a connection to `address` for HTTP/1.1.
    ///
    /// # Errors
    ///
    /// Those of [`Dialer::connect`].
    pub(crate) async fn connect_http1(
        &self,
        address: &Address,
        timeout: Duration,
    ) -> Result<Transport, BoxError> {
        self.pool.dialer().connect(address, timeout, Alpn::Http1).await
    }

    /// Sends a request on a stream of a shared connection, if `upstream` takes it in HTTP/2. A request that
    /// the upstream has not processed
    /// ([RFC 9113, 8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)) is sent again; one that is repeatable also if
    /// a connection with earlier streams is lost, once.
    ///
    /// # Errors
    ///
    /// Those of the connection, of the exchange and of [`Http2Request::make`], and the handshake timeout if there is
    /// no response head within [`Http2Request::timeout`].
    pub(crate) async fn exchange_http2<F>(
        &self,
        upstream: &Upstream,
        timeouts: ConnectTimeouts,
        mut request: Http2Request<F>,
    ) -> Result<Http2Attempt, Error>
    where
        F: FnMut(usize) -> Result<Request<Outgoing>, Error>,
    {
        let mut attempt = 1;
        loop {
            let can_retry = attempt < request.attempts;
            let route = self.route(upstream, request.purpose, timeouts).await;
            let mut permit = match route.map_err(|cause| Error::from_connect(upstream, cause))? {
                Route::Http2(permit) => permit,
                Route::Http1(fallback) => return Ok(Http2Attempt::Http1(fallback)),
            };
            let sent = (request.make)(attempt)?;
            if self.connection_auth.is_in_request(sent.headers()) {
                permit.make_private();
            }
            let is_reused = permit.is_reused();
            let exchange = h2::exchange(permit, sent);
            let result = match request.timeout {
                Some(limit) => tokio::time::timeout(limit, exchange).await,
                None => Ok(exchange.await),
            };
            match result {
                Ok(Ok((response, stream))) => return Ok(Http2Attempt::Response(response, stream)),
                Ok(Err(error)) if error.is::<Unprocessed>() && can_retry => attempt += 1,
                Ok(Err(error))
                    if error.is::<ConnectionLost>() && is_reused && request.is_repeatable && can_retry =>
                {
                    report_repeat(upstream, &*error);
                    (attempt, request.is_repeatable) = (attempt + 1, false);
                }
                Ok(Err(error)) if error.is::<Http1Required>() && can_retry => {
                    let reason = Some("it requires HTTP/1.1 for this request");
                    return Ok(Http2Attempt::Http1(Http1Fallback { transport: None, reason }));
                }
                Ok(Err(error)) => return Err(Error::from_exchange(upstream, error)),
                Err(_) => return Err(Error::at(Kind::HandshakeTimeout, upstream)),
            }
        }
    }

    /// Selects the version of HTTP for a request to `upstream`, and in HTTP/2 a stream for it.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::route`].
    async fn route(
        &self,
        upstream: &Upstream,
        purpose: Purpose,
        timeouts: ConnectTimeouts,
    ) -> Result<Route, BoxError> {
        let in_http2 = match upstream.http_version() {
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
            HttpVersion::Auto => !self.pool.dialer().is_custom() && upstream.is_https(),
        };
        match in_http2 {
            true => self.pool.route(upstream, purpose, timeouts).await,
            false => Ok(Route::Http1(Http1Fallback::default())),
        }
    }
}

/// Reports that a request is sent again, after it was sent on a connection that the upstream closed.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
pub(crate) fn report_repeat(upstream: &Upstream, cause: &(dyn StdError + 'static)) {
    metrics::repeated();
    #[cfg(feature = "tracing")]
    tracing::debug!(%upstream, cause, "request repeated on another connection");
}
