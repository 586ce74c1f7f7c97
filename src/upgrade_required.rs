//! [`UpgradeRequired`]: the leaf service that refuses ordinary requests.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, UPGRADE},
};
use http_body_util::Full;
use tower_service::Service;

/// Responds to every request with 426 and `Upgrade: websocket`
/// ([RFC 9110, 15.5.22](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.22)).
///
/// It is the inner service of [`UpgradeProxyLayer::into_service`](crate::UpgradeProxyLayer::into_service).
#[derive(Clone, Debug, Default)]
pub struct UpgradeRequired(());

impl UpgradeRequired {
    /// Returns the service.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl<B> Service<Request<B>> for UpgradeRequired {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let text = "426 Upgrade Required: only WebSocket is served here\n";
        // Not every server removes the body of a response to HEAD in HTTP/2.
        let body = if request.method() == Method::HEAD { "" } else { text };
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, text.len().into());
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        ready(Ok(response))
    }
}
