//! [`DiscardOnDrop`]: a request's body whose rest is read and discarded when nobody wants it.
//!
//! # Early responses
//!
//! Many clients write the whole request before they read. When the body is dropped, hyper's server closes an HTTP/1.1
//! connection with bytes unread, which resets it: the client sees a broken pipe instead of the status
//! ([RFC 9112, 9.6](https://www.rfc-editor.org/rfc/rfc9112#section-9.6)). In HTTP/2 the stream is reset with `NO_ERROR`
//! after the response ([RFC 9113, 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1)), and curl and Node report
//! an error without the status. So a body that is no longer wanted is not dropped, but read and discarded by a
//! task, up to a number of bytes and for a time. The client gets the response, and its connection continues.
//!
//! Dropped is a body that the client holds back until it gets a 100
//! ([RFC 9110, 10.1.1](https://www.rfc-editor.org/rfc/rfc9110#section-10.1.1)): reading it would send the 100.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{header::EXPECT, request::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{runtime::Handle, time::timeout};

use super::BoxBody;
use crate::error::BoxError;

/// Maximum number of bytes that are discarded.
const SIZE: usize = 64 << 20;

/// Maximum time for the discarded bytes, as in nginx (`lingering_time`).
const TIME: Duration = Duration::from_secs(30);

/// Maximum wait for the next bytes, as in nginx (`lingering_timeout`).
const IDLE: Duration = Duration::from_secs(5);

/// A client's request body. When it is dropped before its end, the rest is read and discarded:
/// [`DiscardUnreadBodyLayer`](crate::DiscardUnreadBodyLayer).
#[derive(Debug)]
pub struct DiscardOnDrop(Arc<Mutex<State>>);

/// Handle of a [`DiscardOnDrop`] that has been given away.
pub(crate) struct RequestHandle(Arc<Mutex<State>>);

/// Ends a [`DiscardOnDrop`] when it is dropped, with the response.
#[derive(Debug)]
pub(crate) struct RequestGuard(Arc<Mutex<State>>);

struct State {
    /// `None` after the end.
    body: Option<BoxBody>,
    rest: Rest,
    /// Of the task that polled the body.
    waker: Option<Waker>,
}

/// Extension of a request whose body is a [`DiscardOnDrop`], or contains one.
#[derive(Clone, Copy)]
struct IsDiscarded;

/// Treatment of the rest of a body that is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Discard,
    /// The client waits for a 100, which is sent when the body is polled.
    DiscardOncePolled,
    Drop,
}

impl DiscardOnDrop {
    /// The body of the request with the head `parts`. Of several layers, the outermost one discards the rest: each other one
    /// drops its body, which reaches the outermost.
    pub(crate) fn new<B>(parts: &mut Parts, body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let rest = match (parts.extensions.insert(IsDiscarded), parts.headers.contains_key(EXPECT)) {
            (Some(IsDiscarded), _) => Rest::Drop,
            (None, true) => Rest::DiscardOncePolled,
            (None, false) => Rest::Discard,
        };
        Self(Arc::new(Mutex::new(State {
            body: Some(body.map_err(Into::into).boxed_unsync()),
            rest,
            waker: None,
        })))
    }

    pub(crate) fn handle(&self) -> RequestHandle {
        RequestHandle(Arc::clone(&self.0))
    }
}

impl RequestHandle {
    /// Ends the body: its reader gets an error, and the rest is discarded.
    pub(crate) fn end(self) {
        end(&self.0);
    }

    /// Ends the body when the guard is dropped.
    pub(crate) fn end_on_drop(self) -> RequestGuard {
        RequestGuard(self.0)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the body, and discards its rest in a task.
fn end(state: &Mutex<State>) {
    let mut state = lock(state);
    let (body, rest, waker) = (state.body.take(), state.rest, state.waker.take());
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
    if let Some(body) = body.filter(|body| rest == Rest::Discard && !body.is_end_stream())
        && let Ok(runtime) = Handle::try_current()
    {
        runtime.spawn(timeout(TIME, discard(body)));
    }
}

/// Reads the body, to its end or to a limit.
async fn discard(mut body: BoxBody) {
    let mut left = SIZE;
    while let Ok(Some(Ok(frame))) = timeout(IDLE, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl Body for DiscardOnDrop {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = lock(&self.0);
        let state = &mut *state;
        let Some(body) = &mut state.body else { return Poll::Ready(Some(Err(Box::new(ResponseEnded)))) };
        if state.rest == Rest::DiscardOncePolled {
            state.rest = Rest::Discard;
        }
        let frame = Pin::new(body).poll_frame(cx);
        match &frame {
            Poll::Pending => match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => state.waker = Some(cx.waker().clone()),
            },
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(_) => state.rest = Rest::Drop,
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for DiscardOnDrop {
    fn drop(&mut self) {
        end(&self.0);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        end(&self.0);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("rest", &self.rest).finish_non_exhaustive()
    }
}

/// Error: the upstream's response has ended before the request.
#[derive(Debug)]
struct ResponseEnded;

impl fmt::Display for ResponseEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response has ended before the request")
    }
}

impl StdError for ResponseEnded {}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokio::{sync::mpsc, time::Instant};

    use super::*;

    /// A body that the sender feeds, and the sender, which is closed when the body is dropped.
    fn body(expect: bool) -> (DiscardOnDrop, mpsc::Sender<Frame<Bytes>>) {
        let (sender, receiver) = mpsc::channel(1);
        let mut builder = Request::post("/");
        if expect {
            builder = builder.header(EXPECT, "100-continue");
        }
        let (mut parts, ()) = builder.body(()).unwrap().into_parts();
        (DiscardOnDrop::new(&mut parts, Receiver(receiver)), sender)
    }

    struct Receiver(mpsc::Receiver<Frame<Bytes>>);

    impl Body for Receiver {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0.poll_recv(cx).map(|frame| frame.map(Ok))
        }
    }

    fn part() -> Frame<Bytes> {
        Frame::data(Bytes::from_static(&[0; 1 << 20]))
    }

    /// Sends parts until the body is dropped. Returns their number.
    async fn send_all(sender: &mpsc::Sender<Frame<Bytes>>, pause: Duration) -> usize {
        let mut sent = 0;
        while sender.send(part()).await.is_ok() {
            sent += 1;
            tokio::time::sleep(pause).await;
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_discarded_within_three_limits() {
        let (whole, sender) = body(false);
        drop(whole);
        assert!((64..=66).contains(&send_all(&sender, Duration::ZERO).await));

        let (whole, sender) = body(false);
        let start = Instant::now();
        drop(whole);
        assert!((7..=9).contains(&send_all(&sender, Duration::from_secs(4)).await));
        assert!((TIME..TIME + IDLE).contains(&start.elapsed()), "{:?}", start.elapsed());

        let (whole, sender) = body(false);
        let start = Instant::now();
        drop(whole);
        sender.closed().await;
        assert_eq!(start.elapsed().as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_is_discarded_once_by_several_layers() {
        for expect in [false, true] {
            let (mut parts, ()) = Request::post("/").body(()).unwrap().into_parts();
            if expect {
                parts.headers.insert(EXPECT, http::HeaderValue::from_static("100-continue"));
            }
            let nested = |sender_of: &mut Option<mpsc::Sender<Frame<Bytes>>>| {
                let mut parts = parts.clone();
                let (sender, receiver) = mpsc::channel(1);
                *sender_of = Some(sender);
                let outer = DiscardOnDrop::new(&mut parts, Receiver(receiver));
                let middle = DiscardOnDrop::new(&mut parts, outer);
                DiscardOnDrop::new(&mut parts, middle)
            };
            let mut sender = None;
            let start = Instant::now();
            drop(nested(&mut sender));
            sender.take().unwrap().closed().await;
            assert_eq!(start.elapsed().as_secs(), if expect { 0 } else { IDLE.as_secs() });

            let mut whole = nested(&mut sender);
            let sender = sender.unwrap();
            sender.send(part()).await.unwrap();
            whole.frame().await.unwrap().unwrap();
            let guard = whole.handle().end_on_drop();
            drop(guard);
            assert!((64..=66).contains(&send_all(&sender, Duration::ZERO).await));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_waits_for_a_100_is_dropped_unless_it_was_read() {
        for polled in [false, true] {
            let (mut whole, sender) = body(true);
            if polled {
                sender.send(part()).await.unwrap();
                whole.frame().await.unwrap().unwrap();
            }
            drop(whole);
            assert_eq!(sender.is_closed(), !polled);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_response_wakes_and_ends_the_reader() {
        let (mut whole, sender) = body(false);
        let guard = whole.handle().end_on_drop();
        let reader = tokio::spawn(async move { whole.frame().await.unwrap().is_err() });
        tokio::task::yield_now().await;
        drop(guard);
        assert!(reader.await.unwrap());
        assert!(!sender.is_closed());
        sender.closed().await;
    }
}
