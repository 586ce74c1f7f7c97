use axum::Router;
use tower_upgrade_proxy::{Host, PathRewrite, UpgradeProxyLayer, Upstream};

pub fn app(upstream: Upstream) -> Router {
    let location = UpgradeProxyLayer::new(upstream)
        .host(Host::upstream()) // nginx's default when no Host is set
        .path(PathRewrite::original_uri()) // with the /ws that `nest_service` strips
        .forward();
    Router::new().nest_service("/ws/", location)
}
