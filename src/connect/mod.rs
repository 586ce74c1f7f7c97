//! A connection to the upstream: TCP, TLS, a unix socket, or whatever the user's connector makes.
//!
//! In HTTP/1.1 an upgrade gets a connection of its own: a pooled one would be consumed by the tunnel,
//! and one on which ALPN chose `h2` could not be upgraded at all. In HTTP/2 it gets a stream of a
//! connection that all share.

mod connection;
pub(crate) mod h1;
pub(crate) mod h2;
mod pieces;
#[cfg(feature = "rustls")]
pub(crate) mod tls;
pub(crate) mod transport;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Uri, uri::Scheme};
use http_body_util::{Either, Empty, combinators::UnsyncBoxBody};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;

use crate::{
    Http2, Upstream,
    error::BoxError,
    upstream::{Address, Speaks},
};
pub(crate) use connection::Connection;
use h2::pool::{Pool, Route, Terms};
use transport::Transport;

/// The body of a request to the upstream: none, or the client's.
pub(crate) type Outgoing = Either<Empty<Bytes>, UnsyncBoxBody<Bytes, BoxError>>;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Upgrade,
    Requests,
}

/// What ALPN offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, or else HTTP/1.1.
    Http2,
}

/// How long connecting may take, and how long a shared connection is kept unused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) idle: Duration,
}

/// A connection did not come about in time.
#[derive(Debug)]
pub(crate) struct ConnectTimeout;

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for ConnectTimeout {}

/// Makes connections for the layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connector {
    custom: Option<BoxCloneSyncService<Uri, Transport, BoxError>>,
    #[cfg(feature = "rustls")]
    tls: tls::Tls,
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
        self.custom = Some(BoxCloneSyncService::new(service));
        self.pool = Arc::default();
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn set_tls(&mut self, tls: tls::Tls) {
        self.tls = tls;
        self.pool = Arc::default();
    }

    pub(crate) fn set_http2(&mut self, http2: Http2) {
        self.http2 = http2;
        self.pool = Arc::default();
    }

    /// In which version of HTTP a request gets to `upstream`, and where a stream for it is free.
    ///
    /// # Errors
    ///
    /// Those of [`Pool::route`].
    pub(crate) async fn route(
        &self,
        upstream: &Upstream,
        purpose: Use,
        timeouts: Timeouts,
    ) -> Result<Route, BoxError> {
        let asks = match upstream.speaks() {
            Speaks::Http1 => false,
            Speaks::Http2 => true,
            Speaks::Auto => self.custom.is_none() && upstream.is_https(),
        };
        match asks {
            true => self.pool.route(upstream, purpose, Terms { connector: self, timeouts }).await,
            false => Ok(Route::Http1 { transport: None, reason: None }),
        }
    }

    /// One connection to `address`.
    ///
    /// # Errors
    ///
    /// The cause, or [`ConnectTimeout`] after `timeout`.
    pub(crate) async fn connect(
        &self,
        address: &Address,
        timeout: Duration,
        offer: Offer,
    ) -> Result<Transport, BoxError> {
        match tokio::time::timeout(timeout, self.dial(address, timeout, offer)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectTimeout.into()),
        }
    }

    #[cfg_attr(not(feature = "rustls"), allow(unused_variables))]
    async fn dial(&self, address: &Address, timeout: Duration, offer: Offer) -> Result<Transport, BoxError> {
        let uri = match address {
            Address::Uri(uri) => uri,
            #[cfg(unix)]
            Address::Unix(path) => return Ok(Transport::Unix(tokio::net::UnixStream::connect(path).await?)),
            #[cfg(not(unix))]
            Address::Unix(_) => return Err("unix sockets are not supported on this platform".into()),
        };
        if let Some(custom) = &self.custom {
            return custom.clone().oneshot(uri.clone()).await;
        }
        let tcp = self.tcp(uri, timeout).await?;
        #[cfg(feature = "rustls")]
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return self.tls.connect(uri.host().unwrap_or_default(), tcp, offer).await;
        }
        if uri.scheme() == Some(&Scheme::HTTP) {
            return Ok(Transport::Tcp(tcp));
        }
        Err("this scheme needs a connector of your own".into())
    }

    /// An address is connected to directly. A name goes through hyper-util's connector, with happy
    /// eyeballs; the time is shared among its addresses.
    async fn tcp(&self, uri: &Uri, timeout: Duration) -> Result<TcpStream, BoxError> {
        if let Some(address) = socket_address(uri) {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            return Ok(tcp);
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        Ok(connector.oneshot(uri.clone()).await.map(TokioIo::into_inner)?)
    }
}

/// Where a URI with an IP address leads.
fn socket_address(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?;
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()?;
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    Some(SocketAddr::new(ip, uri.port_u16().unwrap_or(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg_attr(miri, ignore = "opens sockets")]
    #[tokio::test]
    async fn tcp_connections_do_not_wait_for_more_to_send() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream: Upstream = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let second = Duration::from_secs(1);
        let transport = Connector::default().connect(upstream.address(), second, Offer::Http1).await.unwrap();
        assert!(matches!(transport, Transport::Tcp(tcp) if tcp.nodelay().unwrap()));
    }

    #[test]
    fn an_address_needs_no_resolver() {
        for (uri, address) in [
            ("http://127.0.0.1:9000/base", Some("127.0.0.1:9000")),
            ("http://192.0.2.1/", Some("192.0.2.1:80")),
            ("https://192.0.2.1/", Some("192.0.2.1:443")),
            ("https://[2001:db8::1]:8443/", Some("[2001:db8::1]:8443")),
            ("http://[::1]/", Some("[::1]:80")),
            ("http://localhost:9000/", None),
            ("http://127.1/", None),
        ] {
            let expected = address.map(|address| address.parse().unwrap());
            assert_eq!(socket_address(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
