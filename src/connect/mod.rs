//! A connection to the upstream: TCP, TLS, a unix socket, or whatever the user's connector makes.
//!
//! In HTTP/1.1 an upgrade gets a connection of its own: a pooled one would be consumed by the tunnel,
//! and one on which ALPN chose `h2` could not be upgraded at all. In HTTP/2 it gets a stream of a
//! connection that all share.

pub(crate) mod body;
mod connection;
pub(crate) mod dial;
pub(crate) mod h1;
pub(crate) mod h2;
#[cfg(feature = "rustls")]
pub(crate) mod tls;

use std::{sync::Arc, time::Duration};

use http::Uri;
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;

use crate::{
    error::BoxError, io::transport::Transport, upstream::Address, upstream::HttpVersion, upstream::Upstream,
};
pub(crate) use connection::Connection;
use dial::Dialer;
pub(crate) use dial::{Alpn, ConnectTimeouts};
use h2::{
    Http2,
    pool::{Pool, Route, Terms},
};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Upgrade,
    Requests,
}

/// Makes connections for the layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connector {
    pub(crate) header_case: h1::HeaderCase,
    dialer: Dialer,
    http2: Http2,
    /// What was connected by the rules above, and by no others.
    pool: Arc<Pool>,
}

impl Connector {
    /// Everything but unix sockets goes through `service`.
    pub(crate) fn set_custom<C>(&mut self, service: C)
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        let service = service.map_response(Transport::from_hyper).map_err(Into::into);
        self.dialer.custom = Some(BoxCloneSyncService::new(service));
        self.pool = Arc::default();
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn set_tls(&mut self, tls: tls::Tls) {
        self.dialer.tls = tls;
        self.pool = Arc::default();
    }

    pub(crate) fn set_http2(&mut self, http2: Http2) {
        self.http2 = http2;
        self.pool = Arc::default();
    }

    /// One connection to `address`.
    ///
    /// # Errors
    ///
    /// Those of [`Dialer::connect`].
    pub(crate) async fn connect(
        &self,
        address: &Address,
        timeout: Duration,
        alpn: Alpn,
    ) -> Result<Transport, BoxError> {
        self.dialer.connect(address, timeout, alpn).await
    }

    /// In which version of HTTP a request gets to `upstream`, and where a stream for it is free.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::route`].
    pub(crate) async fn route(
        &self,
        upstream: &Upstream,
        purpose: Purpose,
        timeouts: ConnectTimeouts,
    ) -> Result<Route, BoxError> {
        let asks = match upstream.http_version() {
            HttpVersion::Http1 => false,
            HttpVersion::Http2 => true,
            HttpVersion::Auto => self.dialer.custom.is_none() && upstream.is_https(),
        };
        match asks {
            true => {
                self.pool
                    .route(upstream, purpose, Terms { dialer: &self.dialer, http2: &self.http2, timeouts })
                    .await
            }
            false => Ok(Route::Http1 { transport: None, reason: None }),
        }
    }
}
