//! TLS in front of a plain HTTP upstream: https and wss for clients, `X-Forwarded-Proto: https` for the
//! upstream, and a 301 for clients without TLS.
//!
//! ```text
//! cargo run -p tls                                   # self-signed, with a demonstration upstream
//! cargo run -p tls -- --cert fullchain.pem --key privkey.pem --upstream http://127.0.0.1:9000
//! ```

mod demo;

use std::{
    error::Error,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::map_request,
    response::{IntoResponse, Response},
};
use axum_server::{
    Server,
    accept::{DefaultAcceptor, NoDelayAcceptor},
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use clap::Parser;
use http::{
    StatusCode,
    header::{HOST, LOCATION},
    uri::Authority,
};
use hyper_util::rt::TokioTimer;
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use tower_upgrade_proxy::{Forwarded, Peer, UpgradeProxyLayer, Upstream};

/// Time without a frame after which an HTTP/2 connection is pinged.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// Serves https and wss for an upstream without TLS
#[derive(Parser)]
#[command(name = "tls")]
struct Options {
    /// Address of the https listener
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    https: SocketAddr,

    /// Address of the plain http listener that redirects to https
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,

    /// Upstream for all requests [default: a demonstration site]
    #[arg(long, value_name = "UPSTREAM")]
    upstream: Option<Upstream>,

    /// Certificate chain (PEM) [default: a self-signed certificate for localhost]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// Proxy part of the example.
fn site(upstream: Upstream) -> Router {
    let location = UpgradeProxyLayer::new(upstream).forwarded(Forwarded::nginx()).forward();
    Router::new().fallback_service(location).layer(map_request(mark_as_tls))
}

/// Inserts the client's address and scheme for the proxy.
async fn mark_as_tls(ConnectInfo(client): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(Peer::new(client).https());
    request
}

/// Redirects to https, like nginx's `listen 80; return 301 https://$host$request_uri;`.
async fn redirect(State(port): State<u16>, request: Request) -> Result<Response, StatusCode> {
    let host = host(&request).ok_or(StatusCode::BAD_REQUEST)?;
    let target = request.uri().path_and_query().filter(|target| target.path().starts_with('/'));
    let target = target.ok_or(StatusCode::BAD_REQUEST)?;
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    let location = format!("https://{}{port}{target}", host.host());
    Ok((StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response())
}

/// Requested host, from the target (HTTP/2), or from the `Host` field if it has exactly one line.
fn host(request: &Request) -> Option<Authority> {
    let mut lines = request.headers().get_all(HOST).iter();
    let host = match (request.uri().authority(), lines.next(), lines.next()) {
        (Some(authority), ..) => Some(authority.clone()),
        (None, Some(host), None) => Authority::try_from(host.as_bytes()).ok(),
        _ => None,
    };
    host.filter(|host| !host.as_str().contains('@') && !host.host().is_empty())
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let identity = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => from_files(cert, key)?,
        _ => self_signed()?,
    };
    let upstream = match options.upstream {
        Some(upstream) => upstream,
        None => demo::start().await?,
    };
    let (https, http) = (bind(options.https)?, bind(options.http)?);
    let (secure, plain) = (https.local_addr()?.port(), http.local_addr()?.port());
    let tls = RustlsConfig::from_config(Arc::new(tls_config(identity)?));
    let tls = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new());
    let https = bounded(axum_server::from_tcp(https)?).acceptor(tls);
    let http = bounded(axum_server::from_tcp(http)?);
    println!("open https://localhost:{secure}/ (http://localhost:{plain}/ redirects there)");
    let redirect = Router::new().fallback(redirect).with_state(secure);
    tokio::try_join!(
        https.serve(site(upstream).into_make_service_with_connect_info::<SocketAddr>()),
        http.serve(redirect.into_make_service()),
    )?;
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, Box<dyn Error>> {
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Limits the head of a request to ten seconds after its first bytes. The wait for the first bytes, which
/// distinguish HTTP/1.1 from HTTP/2, has no limit; the gateway's server has limits for all waits.
fn bounded(mut server: Server<SocketAddr, DefaultAcceptor>) -> Server<SocketAddr, DefaultAcceptor> {
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
    // Browsers with an HTTP/2 connection then open their WebSockets on it.
    builder.http2().timer(TokioTimer::new()).enable_connect_protocol().keep_alive_interval(PING_INTERVAL);
    server
}

fn tls_config((chain, key): Identity) -> Result<ServerConfig, Box<dyn Error>> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Certificate chain and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn from_files(cert: &Path, key: &Path) -> Result<Identity, String> {
    let in_file = |file: &Path, error: pem::Error| format!("{}: {error}", file.display());
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(|error| in_file(cert, error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, error))?;
    Ok((chain, key))
}

fn self_signed() -> Result<Identity, Box<dyn Error>> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let certified = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der())?;
    Ok((vec![certified.cert.der().clone()], key))
}
