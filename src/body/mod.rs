//! Bodies of responses ([`ResponseBody`]) and of requests to an upstream ([`Outgoing`]).

mod delayed;
pub(crate) mod discard;
pub(crate) mod small_frames;
pub(crate) mod trailers;
mod upload;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty, Full, combinators::UnsyncBoxBody};
use pin_project_lite::pin_project;

use crate::error::BoxError;

pub(crate) use delayed::DelayedError;
pub(crate) use upload::Upload;

pin_project! {
    /// The body of a response of [`UpgradeProxy`](crate::UpgradeProxy): that of the inner service, of a relayed
    /// response of the upstream, of a [`Rejection`](crate::Rejection), or of a failure response. The body of a 101 is
    /// empty, and so is the default, which middleware uses for responses of its own.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Proxy { body: ProxyBody },
    }
}

/// A body of any type.
pub(crate) type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// The body of a request to the upstream: empty, or the client's.
pub(crate) type Outgoing = Either<Empty<Bytes>, BoxBody>;

/// Returns an empty request body.
pub(crate) fn empty() -> Outgoing {
    Either::Left(Empty::new())
}

/// The body of a response that is not the inner service's.
#[derive(Debug)]
pub(crate) enum ProxyBody {
    /// Of a relayed response, with the connection on which it is received.
    Upstream(BoxBody),
    /// Of a response that the application has made to reject the request.
    Rejection(BoxBody),
    /// Of a failure response; empty in a 101.
    Text(Full<Bytes>),
}

impl<B> ResponseBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    pub(crate) fn proxy(body: ProxyBody) -> Self {
        Self { kind: Kind::Proxy { body } }
    }
}

impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::proxy(ProxyBody::Text(Full::default()))
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProj::Inner { body } => body.poll_frame(cx).map_err(Into::into),
            KindProj::Proxy { body: ProxyBody::Upstream(body) | ProxyBody::Rejection(body) } => {
                Pin::new(body).poll_frame(cx)
            }
            KindProj::Proxy { body: ProxyBody::Text(body) } => {
                Pin::new(body).poll_frame(cx).map_err(Into::into)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Proxy { body: ProxyBody::Upstream(body) | ProxyBody::Rejection(body) } => {
                body.is_end_stream()
            }
            Kind::Proxy { body: ProxyBody::Text(body) } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Proxy { body: ProxyBody::Upstream(body) | ProxyBody::Rejection(body) } => body.size_hint(),
            Kind::Proxy { body: ProxyBody::Text(body) } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Inner { .. } => "ResponseBody::Inner",
            Kind::Proxy { body: ProxyBody::Upstream(_) } => "ResponseBody::Upstream",
            Kind::Proxy { body: ProxyBody::Rejection(_) } => "ResponseBody::Rejection",
            Kind::Proxy { body: ProxyBody::Text(_) } => "ResponseBody::Text",
        })
    }
}
