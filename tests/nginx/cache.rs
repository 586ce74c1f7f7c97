use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, Uri},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tower::Layer;
use tower_upgrade_proxy::{Forwarded, UpgradeProxyLayer, Upstream};

/// Pages by URI. A real cache would obey `Cache-Control`.
pub type Cache = Arc<Mutex<HashMap<Uri, Bytes>>>;

pub fn site(upstream: Upstream, cache: Cache) -> Router {
    let proxy = UpgradeProxyLayer::new(upstream).forwarded(Forwarded::nginx());
    let pages = from_fn_with_state(cache, cached).layer(proxy.clone().forward());
    Router::new().fallback_service(proxy.layer(pages)) // upgrades never reach the cache
}

async fn cached(State(cache): State<Cache>, request: Request, next: Next) -> Response {
    let pages = || cache.lock().unwrap_or_else(PoisonError::into_inner);
    let uri = request.uri().clone();
    if let Some(page) = pages().get(&uri).cloned() {
        return page.into_response();
    }
    match to_bytes(next.run(request).await.into_body(), 1 << 20).await {
        Ok(page) => {
            pages().insert(uri, page.clone());
            page.into_response()
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
