//! [`UpstreamBody`]: the body of an upstream's response, with its timeouts.

use std::{
    error::Error as StdError,
    fmt, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    h1::{Http1Body, pooled::PooledBody},
    h2,
    stall::{StallWatch, Watched},
};
use crate::{
    body::{DelayedError, discard::RequestGuard, small_frames::SmallFrames, trailers::TrailerRules},
    error::BoxError,
    limits::Permit,
};

/// Largest frame of a body to a client in HTTP/1. The server takes the next one when the client has taken those before, and
/// the frames of hyper's client can have 128 KiB: a client that takes them slowly would seem to take nothing.
const MAX_FRAME: usize = 64 * 1024;

/// Timeouts of a response body.
#[derive(Clone, Debug)]
pub(crate) struct BodyTimeouts {
    /// For the next frame of the upstream.
    pub(crate) frame: Option<Duration>,
    /// For the client to take something.
    pub(crate) send: StallWatch,
}

/// The body of a response in either version of HTTP.
#[derive(Debug)]
pub(crate) enum Source {
    /// With a connection of its own.
    Http1(Http1Body),
    /// With a pooled connection.
    Pooled(PooledBody),
    Http2(h2::body::Body),
    /// See [`UpstreamBody::absent`]. `true` if it is known to have ended.
    Absent {
        ends: bool,
    },
}

impl Body for Source {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Pooled(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
            Self::Absent { .. } => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Pooled(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Absent { ends } => *ends,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Pooled(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Absent { .. } => SizeHint::default(),
        }
    }
}

impl From<Http1Body> for Source {
    fn from(body: Http1Body) -> Self {
        Self::Http1(body)
    }
}

impl From<PooledBody> for Source {
    fn from(body: PooledBody) -> Self {
        Self::Pooled(body)
    }
}

impl From<h2::body::Body> for Source {
    fn from(body: h2::body::Body) -> Self {
        Self::Http2(body)
    }
}

/// The body of an upstream's response, with a limit on the wait for its next frame, and one on the time in which the
/// client takes nothing.
///
/// The limits are [`body_timeout`](crate::UpgradeProxyLayer::body_timeout), which counts only while the body is polled,
/// and [`send_timeout`](crate::UpgradeProxyLayer::send_timeout), which counts only while it is not.
#[derive(Debug)]
pub struct UpstreamBody {
    received: Watched<Received>,
    trailers: TrailerRules,
    _request: Option<RequestGuard>,
}

impl UpstreamBody {
    /// Creates the body of a response to a client in version `client`. It holds `permit` until it has ended or is dropped.
    pub(crate) fn new(
        source: impl Into<Source>,
        timeouts: &BodyTimeouts,
        client: Version,
        permit: Option<Permit>,
    ) -> Self {
        let mut received = Received::new(source.into(), timeouts.frame, permit);
        if client >= Version::HTTP_2 {
            received.max_frame = timeouts.send.max_http2_frame();
        }
        let received = match received.is_end_stream() {
            // It is not read.
            true => Watched::unlimited(received),
            false => timeouts.send.watch(received),
        };
        Self { received, trailers: TrailerRules::default(), _request: None }
    }

    /// Returns the body of a response that has none, to a client in version `client`. Servers compare the length of an
    /// empty body with the head: axum adds `Content-Length: 0`, which would be the length of another response, and in
    /// HTTP/1.1 hyper removes that of a 304. They do neither if the length is not known.
    pub(crate) fn absent(client: Version) -> Self {
        let source = Source::Absent { ends: client == Version::HTTP_2 };
        let received = Watched::unlimited(Received::new(source, None, None));
        Self { received, trailers: TrailerRules::default(), _request: None }
    }

    /// Applies `trailers` in addition to the rules for all trailers.
    pub(crate) fn filtering(self, trailers: TrailerRules) -> Self {
        Self { trailers, ..self }
    }

    /// Ends the request's body when this one is dropped.
    pub(crate) fn ending(self, request: Option<RequestGuard>) -> Self {
        Self { _request: request, ..self }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match ready!(self.received.poll(cx, Received::poll_frame)) {
            Ok(Some(Ok(frame))) => Poll::Ready(self.trailers.filter(frame).map(Ok)),
            Ok(end) => Poll::Ready(end),
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.received.with(Received::is_end_stream).unwrap_or(false)
    }

    fn size_hint(&self) -> SizeHint {
        self.received.with(Received::size_hint).unwrap_or_default()
    }
}

/// The body as received, with a limit on the wait for its next frame.
#[derive(Debug)]
struct Received {
    source: Source,
    small_frames: SmallFrames,
    max_frame: usize,
    /// The rest of a frame that was larger than `max_frame`.
    rest: Bytes,
    delayed: DelayedError,
    timeout: Option<Duration>,
    waiting_since: Option<Instant>,
    /// Set once the body was waited for.
    timer: Option<Pin<Box<Sleep>>>,
    permit: Option<Permit>,
}

impl Received {
    fn new(source: Source, timeout: Option<Duration>, permit: Option<Permit>) -> Self {
        Self {
            source,
            small_frames: SmallFrames::default(),
            max_frame: MAX_FRAME,
            rest: Bytes::new(),
            delayed: DelayedError::default(),
            timeout,
            waiting_since: None,
            timer: None,
            permit,
        }
    }

    /// Returns the next frame, at most `max_frame` bytes of it.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.split())));
        }
        let (source, small_frames) = (&mut self.source, &mut self.small_frames);
        let poll = |cx: &mut Context<'_>| match source {
            // Small frames of a stream are copied together where they are received.
            Source::Http2(body) => Pin::new(body).poll_frame(cx),
            source => small_frames.poll_frame(cx, source),
        };
        if let Poll::Ready(frame) = self.delayed.poll_frame(cx, poll) {
            self.waiting_since = None;
            if !matches!(frame, Some(Ok(_))) {
                self.permit = None;
            }
            return Poll::Ready(frame.map(|frame| {
                frame?.into_data().map_or_else(Ok, |data| {
                    self.rest = data;
                    Ok(self.split())
                })
            }));
        }
        let Some(timeout) = self.timeout else { return Poll::Pending };
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let Some(deadline) = since.checked_add(timeout) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(Some(Err(Box::new(BodyTimeout))));
            }
            // The timer was set for an earlier wait.
            timer.as_mut().reset(deadline);
        }
    }

    fn split(&mut self) -> Frame<Bytes> {
        Frame::data(match self.rest.len() > self.max_frame {
            true => self.rest.split_to(self.max_frame),
            false => mem::take(&mut self.rest),
        })
    }

    fn is_end_stream(&self) -> bool {
        let small_frames = &self.small_frames;
        self.rest.is_empty()
            && small_frames.is_empty()
            && (small_frames.has_ended() || self.source.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.source.size_hint(), self.rest.len() as u64 + self.small_frames.kept());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
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
