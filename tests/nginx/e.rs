use std::time::Duration;

use axum::Router;
use tower_upgrade_proxy::{Forward, PathRewrite, UpgradeProxyLayer, Upstream};

pub fn app(sockets: Upstream, pages: Upstream) -> Router {
    let sockets = UpgradeProxyLayer::new(sockets)
        .path(PathRewrite::original_uri())
        .idle_timeout(Duration::from_secs(86_400))
        .forward();
    Router::new().nest_service("/ws/", sockets).fallback_service(Forward::new(pages))
}
