use std::time::Duration;

use axum::{
    Extension, Router,
    http::{HeaderMap, StatusCode, Uri, header::HOST, header::LOCATION, uri::Authority},
    response::{IntoResponse, Response},
    serve::Listener,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time::timeout};
use tokio_rustls::TlsAcceptor;
use tower_upgrade_proxy::{Forwarded, Peer, UpgradeProxyLayer, Upstream};

/// Router of the site, on port 443.
pub fn site(upstream: Upstream) -> Router {
    let location = UpgradeProxyLayer::new(upstream).forwarded(Forwarded::nginx()).forward();
    Router::new().fallback_service(location)
}

/// Serves `site` on port 443. `Peer` holds the client's address, and marks the request as https.
pub async fn serve_tls(mut listener: TcpListener, tls: TlsAcceptor, site: Router) {
    loop {
        let (tcp, address) = Listener::accept(&mut listener).await;
        let tls = tls.clone();
        let site = site.clone().layer(Extension(Peer::new(address).https()));
        tokio::spawn(async move {
            let Ok(Ok(stream)) = timeout(Duration::from_secs(10), tls.accept(tcp)).await else { return };
            let server = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(site);
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

/// Router of port 80: redirects the site's host to https, and answers 404 to all others.
pub fn redirect() -> Router {
    Router::new().fallback(|uri: Uri, headers: HeaderMap| async move {
        let field = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        match uri.authority().or(field.as_ref()) {
            Some(authority) if authority.host().eq_ignore_ascii_case("site.example") => to_https(&uri),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    })
}

fn to_https(uri: &Uri) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, format!("https://site.example{path}"))]).into_response()
}
