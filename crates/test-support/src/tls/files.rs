//! A certificate chain in files, for programs under test.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{client::TlsStream, rustls::pki_types::CertificateDer};

use super::connect;

/// Name in the certificate.
pub const NAME: &str = "client.example";

/// A key, and a chain in which a root certifies an intermediate, and the intermediate the server.
pub struct CertificateFiles {
    folder: TempDir,
    root: CertificateDer<'static>,
}

impl CertificateFiles {
    pub fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority(), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let intermediate = CertifiedIssuer::signed_by(authority(), key, &root).unwrap();
        let key = KeyPair::generate().unwrap();
        let server =
            CertificateParams::new([NAME.to_owned()]).unwrap().signed_by(&key, &intermediate).unwrap();
        let files = Self { folder: tempfile::tempdir().unwrap(), root: root.der().clone() };
        files.write("chain.pem", &(server.pem() + &intermediate.pem()));
        files.write("key.pem", &key.serialize_pem());
        files
    }

    /// Writes another file and returns its path.
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

    /// Starts TLS as a client that offers these protocols.
    pub async fn connect(&self, stream: TcpStream, protocols: &[&str]) -> TlsStream<TcpStream> {
        connect(&self.root, NAME, stream, protocols).await
    }
}

/// Parameters of a certificate that may certify others.
fn authority() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}
