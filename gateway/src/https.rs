//! TLS with the certificate of `--tls-cert`, and the redirect of `--redirect-http`.

use std::{error::Error, net::Ipv6Addr, path::Path, sync::Arc};

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{HOST, LOCATION},
    uri::Authority,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
};

use crate::{Body, plain};

/// TLS acceptor with this certificate chain and its key. Errors name the file.
pub(crate) fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|error| format!("certificate chain {}: {error}", cert.display()))?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| format!("private key {}: {error}", key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| format!("certificate {} with key {}: {error}", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Redirects to https, like nginx's `return 301 https://$host$request_uri;`.
pub(crate) fn redirect<B>(request: &Request<B>, port: u16) -> Response<Body> {
    let Some(host) = host(request) else {
        return plain(StatusCode::BAD_REQUEST, "400 Bad Request: no valid Host\n");
    };
    // `OPTIONS *` and `CONNECT` have no equivalent on https.
    let target = request.uri().path_and_query().filter(|target| target.path().starts_with('/'));
    let Some(target) = target else {
        return plain(StatusCode::BAD_REQUEST, "400 Bad Request: the target is not a path\n");
    };
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let location = format!("https://{}{port}{target}", host.host());
    match HeaderValue::try_from(location) {
        Ok(location) => {
            let mut response = plain(StatusCode::MOVED_PERMANENTLY, "301 Moved Permanently\n");
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(_) => plain(StatusCode::BAD_REQUEST, "400 Bad Request: the target is not a path\n"),
    }
}

/// Requested host, from the target, or else from `Host`, which has at most one line.
pub(crate) fn host<B>(request: &Request<B>) -> Option<Authority> {
    let mut lines = request.headers().get_all(HOST).iter();
    let (line, None) = (lines.next(), lines.next()) else { return None };
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.clone()),
        None => Authority::try_from(line?.as_bytes()).ok(),
    };
    host.filter(is_valid)
}

/// Returns true for a name or an address with an optional port
/// ([RFC 9110, 7.2](https://www.rfc-editor.org/rfc/rfc9110#section-7.2)). The type allows more.
fn is_valid(authority: &Authority) -> bool {
    let (host, port) = (authority.host(), authority.as_str().strip_prefix(authority.host()));
    let is_host = match host.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains(['[', ']']),
    };
    // The type reads `+80` as a number.
    let is_port =
        |port: &str| matches!(port, "" | ":") || authority.port_u16().is_some() && !port.contains('+');
    is_host && port.is_some_and(is_port)
}
