//! [`ResponseFuture`]: the future of the service.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use crate::{
    body::{ProxyBody, ResponseBody},
    respond,
};

pin_project! {
    /// The response future of [`UpgradeProxy`](crate::UpgradeProxy): that of the inner service or of the proxy.
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<F> {
        Inner { #[pin] future: F, ends_connection: bool },
        // The box hides the type of an async block. Only upgrades have it.
        Proxy { future: Pin<Box<dyn Future<Output = Response<ProxyBody>> + Send>> },
        Ready { response: Option<Response<ProxyBody>> },
    }
}

impl<F> ResponseFuture<F> {
    /// The future of the inner service. If `ends_connection` is set, a response that refuses the request ends the
    /// client's connection.
    pub(crate) fn inner(future: F, ends_connection: bool) -> Self {
        Self { kind: Kind::Inner { future, ends_connection } }
    }

    pub(crate) fn proxy(future: impl Future<Output = Response<ProxyBody>> + Send + 'static) -> Self {
        Self { kind: Kind::Proxy { future: Box::pin(future) } }
    }

    pub(crate) fn ready(response: Response<ProxyBody>) -> Self {
        Self { kind: Kind::Ready { response: Some(response) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project().kind.project() {
            KindProj::Inner { future, ends_connection } => {
                return future.poll(cx).map_ok(|mut response| {
                    if *ends_connection {
                        respond::close_refused(&mut response);
                    }
                    response.map(ResponseBody::inner)
                });
            }
            KindProj::Proxy { future } => ready!(future.as_mut().poll(cx)),
            KindProj::Ready { response } => match response.take() {
                Some(response) => response,
                None => panic!("`ResponseFuture` polled after completion"),
            },
        };
        Poll::Ready(Ok(response.map(ResponseBody::proxy)))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
