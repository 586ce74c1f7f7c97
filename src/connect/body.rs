//! [`UpstreamBody`]: the body of an upstream's response, with a timeout.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{body::DelayedError, connect::h2, error::BoxError, limits::Permit};

/// The body of a response in either version of HTTP.
#[derive(Debug)]
pub(crate) enum Source {
    Http1(Incoming),
    Http2(h2::body::Body),
    /// See [`UpstreamBody::absent`]. `true` if it is known to have ended.
    Absent {
        ends: bool,
    },
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
            Self::Absent { .. } => Poll::Ready(None),
        }
    }
}

impl From<Incoming> for Source {
    fn from(body: Incoming) -> Self {
        Self::Http1(body)
    }
}

impl From<h2::body::Body> for Source {
    fn from(body: h2::body::Body) -> Self {
        Self::Http2(body)
    }
}

pin_project! {
    /// The body of an upstream's response, with a limit on the wait for its next frame.
    ///
    /// The limit is [`body_timeout`](crate::UpgradeProxyLayer::body_timeout). Only the time in which the body is
    /// polled counts: a client that reads slowly is not a fault of the upstream.
    #[derive(Debug)]
    pub struct UpstreamBody {
        source: Source,
        delayed: DelayedError,
        timeout: Option<Duration>,
        waiting_since: Option<Instant>,
        #[pin]
        timer: Option<Sleep>,
        permit: Option<Permit>,
    }
}

impl UpstreamBody {
    pub(crate) fn new(source: impl Into<Source>, timeout: Option<Duration>) -> Self {
        Self {
            source: source.into(),
            delayed: DelayedError::default(),
            timeout,
            waiting_since: None,
            timer: None,
            permit: None,
        }
    }

    /// Returns the body of a response that has none, to a client in version `client`. Servers compare the length of an
    /// empty body with the head: axum adds `Content-Length: 0`, which would be the length of another response, and in
    /// HTTP/1.1 hyper removes that of a 304. They do neither if the length is not known.
    pub(crate) fn absent(client: Version) -> Self {
        Self::new(Source::Absent { ends: client == Version::HTTP_2 }, None)
    }

    /// Holds `permit` until the body has ended or is dropped.
    pub(crate) fn holding(self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let source = this.source;
        if let Poll::Ready(frame) = this.delayed.poll_frame(cx, |cx| source.poll_frame(cx)) {
            *this.waiting_since = None;
            if !matches!(frame, Some(Ok(_))) {
                *this.permit = None;
            }
            return Poll::Ready(frame);
        }
        let Some(timeout) = *this.timeout else { return Poll::Pending };
        let since = *this.waiting_since.get_or_insert_with(Instant::now);
        let Some(deadline) = since.checked_add(timeout) else { return Poll::Pending };
        loop {
            match this.timer.as_mut().as_pin_mut() {
                None => this.timer.set(Some(sleep_until(deadline))),
                Some(mut timer) => {
                    ready!(timer.as_mut().poll(cx));
                    if Instant::now() >= deadline {
                        return Poll::Ready(Some(Err(Box::new(BodyTimeout))));
                    }
                    // The timer was set for an earlier wait.
                    timer.reset(deadline);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Http1(body) => body.is_end_stream(),
            Source::Http2(body) => body.is_end_stream(),
            Source::Absent { ends } => *ends,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Http1(body) => body.size_hint(),
            Source::Http2(body) => body.size_hint(),
            Source::Absent { .. } => SizeHint::default(),
        }
    }
}

/// Error: the body timeout has expired.
#[derive(Debug)]
struct BodyTimeout;

impl fmt::Display for BodyTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no data from the upstream within the body timeout")
    }
}

impl StdError for BodyTimeout {}
