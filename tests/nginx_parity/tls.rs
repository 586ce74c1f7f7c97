//! The certificate of nginx and of the Rust program.

use std::{
    fs,
    path::Path,
    sync::{Arc, LazyLock},
};

use test_support::tls::{Certificate, client_config};

use tokio_rustls::TlsConnector;

/// Name in the certificate.
pub(crate) const NAME: &str = "site.example";

pub(crate) static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| Certificate::self_signed(&[NAME]));

/// Writes the files that the configuration names.
pub(crate) fn write(folder: &Path) {
    fs::write(folder.join("cert.pem"), &CERTIFICATE.pem).unwrap();
    fs::write(folder.join("key.pem"), &CERTIFICATE.key_pem).unwrap();
}

pub(crate) fn connector() -> TlsConnector {
    TlsConnector::from(Arc::new(client_config(&CERTIFICATE.der, &[])))
}
