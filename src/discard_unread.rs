//! [`DiscardUnreadBodyLayer`]: early responses of an application, for clients that write before they read.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::{body::discard::DiscardOnDrop, error::BoxError};

/// A layer for services that respond before they have read the request: it reads and discards the rest of the body.
///
/// A handler that responds with 401 or 413 drops the body of the request. hyper's server then closes the connection, and a
/// client that is still writing gets a reset in place of the status
/// ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)). With this layer the rest is read, as the server of
/// Go and nginx's `lingering_close` do: at most 64 MiB, for at most 30 s, or 5 s without a byte. The body of a client that
/// waits for a 100 is not read.
///
/// The layers of this crate do the same for the requests that they proxy. The limits are for a request, however many layers it
/// passes.
///
/// ```
/// use axum::{Router, http::StatusCode, routing::post};
/// use tower_upgrade_proxy::DiscardUnreadBodyLayer;
///
/// let app: Router = Router::new()
///     .route("/upload", post(async || StatusCode::PAYLOAD_TOO_LARGE))
///     .layer(DiscardUnreadBodyLayer::new());
/// ```
#[derive(Clone, Debug, Default)]
pub struct DiscardUnreadBodyLayer(());

impl DiscardUnreadBodyLayer {
    /// Returns the layer.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for DiscardUnreadBodyLayer {
    type Service = DiscardUnreadBody<S>;

    fn layer(&self, inner: S) -> DiscardUnreadBody<S> {
        DiscardUnreadBody(inner)
    }
}

/// The service of [`DiscardUnreadBodyLayer`].
#[derive(Clone, Debug)]
pub struct DiscardUnreadBody<S>(S);

impl<S, B> Service<Request<B>> for DiscardUnreadBody<S>
where
    S: Service<Request<DiscardOnDrop>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let (mut parts, body) = request.into_parts();
        let body = DiscardOnDrop::new(&mut parts, body);
        self.0.call(Request::from_parts(parts, body))
    }
}
