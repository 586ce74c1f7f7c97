//! [`UpgradeProxy`]: the service of the layer.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{self, ResponseBody, Upload, discard::DiscardOnDrop},
    config::Config,
    error::BoxError,
    future::ResponseFuture,
    handshake::detect::detect,
    metrics::{HandshakeTimer, Outcome},
    proxy::proxy,
    received::Received,
    respond,
};

/// Proxies upgrade requests, and passes all other requests to an inner service.
///
/// Made by [`UpgradeProxyLayer`](crate::UpgradeProxyLayer). Readiness, errors and the responses to ordinary
/// requests are those of the inner service. When it refuses a `CONNECT` in HTTP/1, the connection ends
/// ([RFC 9931, 8](https://www.rfc-editor.org/rfc/rfc9931#section-8)).
#[derive(Clone, Debug)]
pub struct UpgradeProxy<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> UpgradeProxy<S> {
    pub(crate) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for UpgradeProxy<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes> + Send + 'static,
    ReqBody::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> ResponseFuture<S::Future> {
        match detect(&mut request, &self.config.protocols) {
            Ok(None) => {
                let ends = respond::ends_connection(request.method(), request.version());
                ResponseFuture::inner(self.inner.call(request), ends)
            }
            Ok(Some(handshake)) => {
                let timer = HandshakeTimer::start();
                let (mut parts, body) = request.into_parts();
                let upload = Upload::start();
                let body = match handshake.body {
                    true => upload.track(DiscardOnDrop::new(&mut parts, body)),
                    false => body::empty(),
                };
                let config = Arc::clone(&self.config);
                ResponseFuture::proxy(proxy(config, handshake, parts, (body, upload), timer))
            }
            Err(error) => {
                HandshakeTimer::start().stop(Outcome::Refused);
                let (mut parts, body) = request.into_parts();
                drop(DiscardOnDrop::new(&mut parts, body));
                let received = Received::new(&parts, self.config.client(&parts));
                ResponseFuture::ready(respond::failure(&self.config.hooks, error, &received))
            }
        }
    }
}
