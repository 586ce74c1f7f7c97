//! [`ResponseBody`].

mod delayed;

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

pin_project! {
    /// The body of a response of [`UpgradeProxy`](crate::UpgradeProxy): the inner service's, the
    /// upstream's refusal, or the text of a failure. A 101 has none.
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

/// The body of a request to the upstream: none, or the client's.
pub(crate) type Outgoing = Either<Empty<Bytes>, UnsyncBoxBody<Bytes, BoxError>>;

/// Returns the body of a request without one.
pub(crate) fn empty() -> Outgoing {
    Either::Left(Empty::new())
}

/// An upstream's refusal, with the connection it comes from.
pub(crate) type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body that the proxy made or passes on.
#[derive(Debug)]
pub(crate) enum ProxyBody {
    Upstream(BoxBody),
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
            KindProj::Proxy { body: ProxyBody::Upstream(body) } => Pin::new(body).poll_frame(cx),
            KindProj::Proxy { body: ProxyBody::Text(body) } => {
                Pin::new(body).poll_frame(cx).map_err(Into::into)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Proxy { body: ProxyBody::Upstream(body) } => body.is_end_stream(),
            Kind::Proxy { body: ProxyBody::Text(body) } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Proxy { body: ProxyBody::Upstream(body) } => body.size_hint(),
            Kind::Proxy { body: ProxyBody::Text(body) } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Inner { .. } => "ResponseBody::Inner",
            Kind::Proxy { body: ProxyBody::Upstream(_) } => "ResponseBody::Upstream",
            Kind::Proxy { body: ProxyBody::Text(_) } => "ResponseBody::Text",
        })
    }
}
