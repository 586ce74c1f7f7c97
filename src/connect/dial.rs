//! [`Dialer`]: opens connections by TCP, TLS, unix sockets, or the application's own connector.

use std::{error::Error as StdError, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::{TcpStream, lookup_host};
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;

use super::{
    ports::{Shortages, has_local_address, is_not_available},
    tcp::{self, Outcome},
};
use crate::{
    error::{BoxError, ConnectTimeout, NoLocalPort},
    io::transport::Transport,
    sync::atomic::{AtomicBool, Ordering},
    upstream::Address,
};

/// Versions of HTTP offered by ALPN
/// ([RFC 7301](https://www.rfc-editor.org/rfc/rfc7301)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2, or else HTTP/1.1.
    Http2,
}

/// Timeouts of a connection: for opening it, and for closing a shared one that has no streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectTimeouts {
    pub(crate) connect: Duration,
    pub(crate) pool_idle: Duration,
}

/// Opens connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dialer {
    custom: Option<BoxCloneSyncService<Uri, Transport, BoxError>>,
    shortages: Shortages,
    /// The last attempt was refused.
    was_refused: Arc<AtomicBool>,
    #[cfg(feature = "rustls")]
    pub(super) tls: super::tls::Tls,
}

impl Dialer {
    /// Sets the application's connector, which opens all connections but those to unix sockets.
    pub(crate) fn set_custom<C>(&mut self, service: C)
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
        C::Error: Into<BoxError>,
        C::Future: Send + 'static,
    {
        let service = service.map_response(Transport::from_hyper).map_err(Into::into);
        self.custom = Some(BoxCloneSyncService::new(service));
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// Opens a connection to `address`.
    ///
    /// # Errors
    ///
    /// The cause, or [`ConnectTimeout`] after `timeout`.
    pub(crate) async fn connect(
        &self,
        address: &Address,
        timeout: Duration,
        alpn: Alpn,
    ) -> Result<Transport, BoxError> {
        match tokio::time::timeout(timeout, self.dial(address, timeout, alpn)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectTimeout.into()),
        }
    }

    #[cfg_attr(not(feature = "rustls"), allow(unused_variables))]
    async fn dial(&self, address: &Address, timeout: Duration, alpn: Alpn) -> Result<Transport, BoxError> {
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
            return self.tls.connect(uri.host().unwrap_or_default(), tcp, alpn).await;
        }
        if uri.scheme() == Some(&Scheme::HTTP) {
            return Ok(Transport::Tcp(tcp));
        }
        Err("this scheme needs a connector of your own".into())
    }

    /// Opens a TCP connection, unless it is known that no local port is free.
    async fn tcp(&self, uri: &Uri, timeout: Duration) -> Result<TcpStream, BoxError> {
        let destination = uri.authority().map_or("", Authority::as_str);
        self.shortages.permit(destination)?;
        let asks = self.was_refused.load(Ordering::Relaxed);
        let opened = open(uri, timeout, if asks { Outcome::AskedFor } else { Outcome::Awaited }).await;
        let is_refused = opened.as_ref().is_err_and(|error| is_refused(&**error));
        if is_refused != asks {
            self.was_refused.store(is_refused, Ordering::Relaxed);
        }
        let is_shortage = match &opened {
            Err(error) if is_not_available(&**error) => has_local_addresses(uri).await,
            _ => false,
        };
        self.shortages.record(destination, is_shortage);
        if is_shortage { Err(NoLocalPort.into()) } else { opened }
    }
}

/// Opens a TCP connection: directly to an IP address, or by name through hyper-util's connector, with
/// happy eyeballs ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)). The timeout is shared among the
/// addresses of a name.
async fn open(uri: &Uri, timeout: Duration, outcome: Outcome) -> Result<TcpStream, BoxError> {
    if let Some(address) = socket_address(uri) {
        return Ok(tcp::connect(address, outcome).await?);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(timeout));
    Ok(connector.oneshot(uri.clone()).await.map(TokioIo::into_inner)?)
}

/// Returns true if the system has a local address for each address of the URI's host.
async fn has_local_addresses(uri: &Uri) -> bool {
    if let Some(address) = socket_address(uri) {
        return has_local_address(address);
    }
    let host = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(default_port(uri)));
    match lookup_host(host).await {
        Ok(mut addresses) => addresses.all(has_local_address),
        Err(_) => false,
    }
}

fn is_refused(error: &(dyn StdError + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn default_port(uri: &Uri) -> u16 {
    if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 }
}

/// Returns the socket address of a URI whose host is an IP address.
fn socket_address(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?;
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()?;
    Some(SocketAddr::new(ip, uri.port_u16().unwrap_or(default_port(uri))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    #[cfg_attr(miri, ignore = "opens sockets")]
    #[tokio::test]
    async fn nagle_is_switched_off_on_tcp_connections() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream: Upstream = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let second = Duration::from_secs(1);
        let transport = Dialer::default().connect(upstream.address(), second, Alpn::Http1).await.unwrap();
        assert!(matches!(transport, Transport::Tcp(tcp) if tcp.nodelay().unwrap()));
    }

    #[test]
    fn ip_addresses_need_no_resolver() {
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
