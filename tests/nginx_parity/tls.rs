//! The certificate of both servers, and who trusts it.

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};

/// The name it is for.
pub(crate) const NAME: &str = "site.example";

struct Certificate {
    der: CertificateDer<'static>,
    pem: String,
    key_der: Vec<u8>,
    key_pem: String,
}

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    Certificate {
        der: made.cert.der().clone(),
        pem: made.cert.pem(),
        key_der: made.signing_key.serialize_der(),
        key_pem: made.signing_key.serialize_pem(),
    }
});

/// Writes the files that the configuration names.
pub(crate) fn write(folder: &Path) {
    fs::write(folder.join("cert.pem"), &CERTIFICATE.pem).unwrap();
    fs::write(folder.join("key.pem"), &CERTIFICATE.key_pem).unwrap();
}

pub(crate) fn acceptor() -> TlsAcceptor {
    let key = PrivatePkcs8KeyDer::from(CERTIFICATE.key_der.clone());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CERTIFICATE.der.clone()], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CERTIFICATE.der.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
