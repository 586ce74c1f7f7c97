//! End of HTTP/2 connections of which the client takes nothing.
//!
//! hyper holds a response whose stream has no window until the client resets the stream or the connection ends. The
//! layer has released the upstream by then ([`UpgradeProxyLayer::send_timeout`]), but the descriptor and the streams of
//! the client remain.
//!
//! [`UpgradeProxyLayer::send_timeout`]: tower_upgrade_proxy::UpgradeProxyLayer::send_timeout

use std::{
    future::pending,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{Method, Response};
use hyper::body::{Body, Frame, SizeHint};
use tokio::time;

/// Streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// Requests without a response, and responses that wait for the upstream.
    waiting: AtomicUsize,
    /// Responses that wait for the client.
    unread: AtomicUsize,
    /// Frames of responses taken so far.
    taken: AtomicUsize,
    has_tunnel: AtomicBool,
}

/// One stream, from its request to the end of its response.
pub(crate) struct Stream {
    streams: Arc<Streams>,
    is_unread: bool,
}

impl Streams {
    /// Registers a stream.
    pub(crate) fn open(self: &Arc<Self>) -> Stream {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Stream { streams: Arc::clone(self), is_unread: false }
    }

    /// Returns true if an upgrade was accepted.
    pub(crate) fn has_tunnel(&self) -> bool {
        self.has_tunnel.load(Ordering::Relaxed)
    }

    /// Ready when the client took nothing for `limit`, though all streams have responses for it: between one and two
    /// times `limit` after the last frame. Never if there was a tunnel, which has timeouts of its own.
    pub(crate) async fn stalled(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return pending().await };
        let mut before = None;
        loop {
            time::sleep(limit).await;
            let is_blocked = self.unread.load(Ordering::Relaxed) > 0
                && self.waiting.load(Ordering::Relaxed) == 0
                && !self.has_tunnel();
            let now = is_blocked.then(|| self.taken.load(Ordering::Relaxed));
            if is_blocked && now == before {
                return;
            }
            before = now;
        }
    }
}

impl Stream {
    /// Returns the response to a request of this method, with the reads of its body recorded. A response to HEAD has none:
    /// hyper would send it in HTTP/2.
    pub(crate) fn respond<B>(mut self, method: &Method, response: Response<B>) -> Response<StreamBody<B>> {
        if method == Method::CONNECT && response.status().is_success() {
            self.streams.has_tunnel.store(true, Ordering::Relaxed);
        }
        self.set_unread(true);
        response.map(|body| StreamBody { body: Some(body).filter(|_| method != Method::HEAD), stream: self })
    }

    fn set_unread(&mut self, is_unread: bool) {
        if is_unread != self.is_unread {
            self.is_unread = is_unread;
            let (from, to) = (self.count(!is_unread), self.count(is_unread));
            from.fetch_sub(1, Ordering::Relaxed);
            to.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count(&self, is_unread: bool) -> &AtomicUsize {
        if is_unread { &self.streams.unread } else { &self.streams.waiting }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.count(self.is_unread).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Body of a response, with its reads recorded.
pub(crate) struct StreamBody<B> {
    body: Option<B>,
    stream: Stream,
}

impl<B: Body + Unpin> Body for StreamBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        self.stream.set_unread(frame.is_ready());
        self.stream.streams.taken.fetch_add(1, Ordering::Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
