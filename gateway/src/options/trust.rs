//! Options for the certificates of `https://` upstreams.

use std::{error::Error, path::PathBuf, sync::Arc};

use clap::Args;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem, pem::PemObject},
};
use tower_upgrade_proxy::{Tls, UpgradeProxyLayer};

#[derive(Args)]
pub(crate) struct Trust {
    /// Trust the certificates of this file (PEM) for https upstreams, in place of the public authorities that are compiled in;
    /// repeatable (nginx's `proxy_ssl_trusted_certificate`)
    #[arg(long = "upstream-ca", value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Trust the machine's certificates for https upstreams, in place of the public authorities that are compiled in, and in
    /// addition to --upstream-ca. The variables `SSL_CERT_FILE` and `SSL_CERT_DIR` select others
    #[arg(long = "upstream-native-roots")]
    native: bool,
}

impl Trust {
    /// Returns true if an option is given.
    pub(crate) fn is_set(&self) -> bool {
        self.native || !self.files.is_empty()
    }

    /// Sets the trusted certificates of the layer, if an option is given. Errors name the file.
    pub(crate) fn set(&self, layer: UpgradeProxyLayer) -> Result<UpgradeProxyLayer, Box<dyn Error>> {
        if !self.is_set() {
            return Ok(layer);
        }
        let mut roots = RootCertStore::empty();
        for file in &self.files {
            let failed = |error: String| format!("certificates of upstreams {}: {error}", file.display());
            let found = CertificateDer::pem_file_iter(file)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .and_then(|found| if found.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(found) })
                .map_err(|error| failed(error.to_string()))?;
            for certificate in found {
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        if self.native {
            let found = rustls_native_certs::load_native_certs();
            if roots.add_parsable_certificates(found.certs).0 == 0 {
                let cause = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
                return Err(
                    format!("--upstream-native-roots: no usable certificate on this machine{cause}").into()
                );
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(layer.tls(Tls::config(config)))
    }
}
