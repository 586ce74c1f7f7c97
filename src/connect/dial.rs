//! [`Dialer`]: opens connections by TCP, TLS, unix sockets, or the application's own connector.

use std::{net::SocketAddr, time::Duration};

use http::{Uri, uri::Scheme};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tower::{ServiceExt, util::BoxCloneSyncService};
use tower_service::Service;

use crate::{
    error::{BoxError, ConnectTimeout},
    io::transport::Transport,
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

    /// Opens a TCP connection: directly to an IP address, or by name through hyper-util's connector, with
    /// happy eyeballs ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)). The timeout is shared among the
    /// addresses of a name.
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

/// Returns the socket address of a URI whose host is an IP address.
fn socket_address(uri: &Uri) -> Option<SocketAddr> {
    let host = uri.host()?;
    let ip = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()?;
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    Some(SocketAddr::new(ip, uri.port_u16().unwrap_or(default)))
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
