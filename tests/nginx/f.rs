use axum::{
    Router,
    http::{HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION, request::Parts},
};
use tower_upgrade_proxy::{Authorized, PathRewrite, Rejection, UpgradeProxyLayer, Upstream};

pub fn app(upstream: Upstream) -> Router {
    let location = UpgradeProxyLayer::new(upstream)
        .path(PathRewrite::original_uri())
        .authorize(authorize) // upgrades and ordinary requests
        .forward();
    Router::new().nest_service("/ws/", location)
}

async fn authorize(head: Parts) -> Result<Authorized, Rejection> {
    match head.headers.get(AUTHORIZATION) {
        Some(token) if token == "Bearer secret" => {
            let user = HeaderValue::from_static("alice");
            Ok(Authorized::new().header(HeaderName::from_static("x-user"), user))
        }
        _ => Err(StatusCode::UNAUTHORIZED.into()),
    }
}
