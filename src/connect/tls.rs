//! [`Tls`]: TLS to the upstream.

use std::{fmt, io, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::dial::Alpn;
use crate::{error::BoxError, io::transport::Transport};

/// TLS settings for `https://` and `wss://` upstreams: the root certificates that are trusted.
///
/// The name that is sent (SNI) and verified is the host of the upstream's URI, whatever the
/// [`Host`](crate::Host) policy is. ALPN offers `http/1.1` only, or `h2` before it for an
/// [`Upstream`](crate::Upstream) that may use HTTP/2.
///
/// ```no_run
/// use tower_upgrade_proxy::{Tls, UpgradeProxyLayer};
///
/// let layer = UpgradeProxyLayer::new("wss://chat.example".parse()?).tls(Tls::native_roots()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the root certificates of the Mozilla programme, which are compiled in. The default.
    #[must_use]
    pub fn webpki_roots() -> Self {
        Self::roots(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// Trusts the root certificates of the machine, read by this call.
    ///
    /// # Errors
    ///
    /// If no usable certificate is found.
    pub fn native_roots() -> io::Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        match (usable, found.errors.into_iter().next()) {
            (0, Some(error)) => Err(io::Error::other(error)),
            (0, None) => Err(io::Error::new(io::ErrorKind::NotFound, "no root certificates on this machine")),
            _ => Ok(Self::roots(roots)),
        }
    }

    /// Uses a configuration of the application: private roots, client certificates, another cryptographic
    /// provider. Its ALPN list is replaced.
    #[must_use]
    pub fn config(config: impl Into<Arc<ClientConfig>>) -> Self {
        let mut http1 = config.into();
        let mut http2 = Arc::clone(&http1);
        Arc::make_mut(&mut http1).alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::make_mut(&mut http2).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { http1, http2 }
    }

    #[allow(clippy::expect_used, reason = "ring has cipher suites for every version of TLS rustls knows")]
    fn roots(roots: RootCertStore) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self::config(config)
    }

    pub(crate) async fn connect(
        &self,
        host: &str,
        tcp: TcpStream,
        alpn: Alpn,
    ) -> Result<Transport, BoxError> {
        // An IPv6 address has brackets in a URI, and none in a certificate.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())?;
        let config = match alpn {
            Alpn::Http1 => &self.http1,
            Alpn::Http2 => &self.http2,
        };
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
        Ok(Transport::Tls(Box::new(stream)))
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::webpki_roots()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
