//! TLS: certificates, upstreams behind TLS, clients.

mod files;
mod server;

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    },
};

pub use files::{CertificateFiles, NAME};
pub use server::TlsServer;

use crate::wire::bounded;

/// A self-signed certificate and its key.
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub key_pem: String,
    key_der: Vec<u8>,
}

impl Certificate {
    pub fn self_signed(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            der: certified.cert.der().clone(),
            pem: certified.cert.pem(),
            key_pem: certified.signing_key.serialize_pem(),
            key_der: certified.signing_key.serialize_der(),
        }
    }

    /// TLS acceptor of a server with these protocols, in the given order of preference.
    pub fn acceptor(&self, alpn: &[&str]) -> TlsAcceptor {
        let key = PrivatePkcs8KeyDer::from(self.key_der.clone());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key.into())
            .unwrap();
        config.alpn_protocols = protocols(alpn);
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Settings of a client that trusts `root` and offers these protocols.
pub fn client_config(root: &CertificateDer<'static>, alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols(alpn);
    config
}

/// Starts TLS with a server that has a certificate for `name`, certified by `root`.
pub async fn connect(
    root: &CertificateDer<'static>,
    name: &'static str,
    stream: TcpStream,
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    let connector = TlsConnector::from(Arc::new(client_config(root, alpn)));
    let name = ServerName::try_from(name).unwrap();
    bounded("TLS", connector.connect(name, stream)).await.unwrap()
}

fn protocols(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}
