//! A server's certificate in files, and clients that know who issued it.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::bounded;

/// The name in the certificate.
pub const NAME: &str = "client.example";

/// A key, and a chain in which a root certifies an intermediate and that the server.
pub struct Identity {
    folder: TempDir,
    root: CertificateDer<'static>,
}

impl Identity {
    pub fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority(), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let intermediate = CertifiedIssuer::signed_by(authority(), key, &root).unwrap();
        let key = KeyPair::generate().unwrap();
        let server =
            CertificateParams::new([NAME.to_owned()]).unwrap().signed_by(&key, &intermediate).unwrap();
        let identity = Self { folder: tempfile::tempdir().unwrap(), root: root.der().clone() };
        identity.write("chain.pem", &(server.pem() + &intermediate.pem()));
        identity.write("key.pem", &key.serialize_pem());
        identity
    }

    /// Puts a file beside the others and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn chain(&self) -> String {
        self.path("chain.pem")
    }

    pub fn key(&self) -> String {
        self.path("key.pem")
    }

    /// Takes TLS up, for one of these protocols.
    pub async fn connect(&self, stream: TcpStream, protocols: &[&str]) -> TlsStream<TcpStream> {
        connect(&self.root, NAME, stream, protocols).await
    }
}

/// Takes TLS up with a server whose certificate leads to `root` and holds `name`.
pub async fn connect(
    root: &CertificateDer<'static>,
    name: &'static str,
    stream: TcpStream,
    protocols: &[&str],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name).unwrap();
    bounded("TLS", TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
}

/// A certificate that may certify others.
fn authority() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}
