use axum::Router;
use tower_upgrade_proxy::{Upstream, proxy_pass};

pub fn app(upstream: Upstream) -> Router {
    Router::new().fallback_service(proxy_pass(upstream))
}
