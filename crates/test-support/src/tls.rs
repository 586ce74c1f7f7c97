//! An upstream behind TLS.

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
    server::TlsStream,
};

use crate::bounded;

pub struct TlsServer {
    pub listener: TcpListener,
    pub acceptor: TlsAcceptor,
    roots: RootCertStore,
}

impl TlsServer {
    /// A server certified for `localhost` and `::1`, which would rather speak h2.
    pub async fn start(address: &str) -> Self {
        Self::speaking(address, &["h2", "http/1.1"]).await
    }

    /// The same for these protocols, in its order.
    pub async fn speaking(address: &str, alpn: &[&str]) -> Self {
        let certified =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "::1".to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), roots }
    }

    pub fn uri(&self, scheme: &str, host: &str) -> String {
        format!("{scheme}://{host}:{}", self.listener.local_addr().unwrap().port())
    }

    pub fn client_config(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }

    /// The next connection, and what was agreed on it.
    pub async fn accept(&self) -> (TlsStream<TcpStream>, Option<String>) {
        let (tcp, _) = bounded("the proxy to connect", self.listener.accept()).await.unwrap();
        let stream = bounded("TLS", self.acceptor.accept(tcp)).await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        (stream, agreed.map(|protocol| String::from_utf8(protocol).unwrap()))
    }

    /// Fails when anything has connected that was not accepted.
    pub fn expect_untouched(&self) {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(self.listener.poll_accept(&mut cx).is_pending(), "the proxy connected to the upstream");
    }
}
