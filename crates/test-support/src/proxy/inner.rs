//! Inner services of a layer under test.

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, request::Parts};
use tower_upgrade_proxy::UpgradeProxyLayer;

/// Inner service of a layer, for ordinary requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// An application that responds with the head of the request, as it is sent. CONNECT is a 405, as in most applications.
    Application,
    /// `Forward`: ordinary requests go to the same upstream.
    Forward,
}

impl Inner {
    pub fn app(self, layer: UpgradeProxyLayer) -> Router {
        match self {
            Self::Application => Router::new().fallback(application).layer(layer),
            Self::Forward => Router::new().fallback_service(layer.forward()),
        }
    }
}

async fn application(request: Request) -> Response {
    if request.method() == Method::CONNECT {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    // The body stays unread, so that a request may be incomplete.
    head(&request.into_parts().0, "\r\n").into_response()
}

/// Responds with the request: method, target and version, every field, a line each; then the body.
pub async fn describe(request: Request) -> Vec<u8> {
    let (parts, body) = request.into_parts();
    let mut text = head(&parts, "\n");
    text.extend(axum::body::to_bytes(body, 1 << 20).await.unwrap());
    text
}

/// The lines of a head, including the empty one.
fn head(parts: &Parts, line_end: &str) -> Vec<u8> {
    let mut text = format!("{} {} {:?}{line_end}", parts.method, parts.uri, parts.version).into_bytes();
    for (name, value) in &parts.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(line_end.as_bytes());
    }
    text.extend_from_slice(line_end.as_bytes());
    text
}
