use std::time::Duration;

use axum::Router;
use tower_upgrade_proxy::{PathRewrite, UpgradeProxyLayer, Upstream};

pub fn app(upstream: Upstream, read_timeout: Duration) -> Router {
    let location = UpgradeProxyLayer::new(upstream)
        .path(PathRewrite::original_uri())
        .read_timeout(read_timeout)
        .forward();
    Router::new().nest_service("/chat/", location)
}
