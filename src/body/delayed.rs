//! [`DelayedError`]: flushes the rest of a body before its error.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use crate::error::BoxError;

/// Delays the error of a body by one poll.
///
/// hyper discards unflushed data as soon as a body fails: the response head, and frames received just before.
/// When a body is pending, hyper flushes first.
#[derive(Debug, Default)]
pub(crate) struct DelayedError(Option<BoxError>);

impl DelayedError {
    /// Returns the result of `poll`, or the error of an earlier call.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(error) = self.0.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match poll(cx) {
            Poll::Ready(Some(Err(error))) => {
                self.0 = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => frame,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible, pin::Pin};

    use http::Response;
    use http_body::Body;
    use hyper::{server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// A body whose frame and error are ready at once.
    struct FailingBody {
        frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
        delayed: Option<DelayedError>,
    }

    impl Body for FailingBody {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            let Self { frames, delayed } = &mut *self;
            match delayed {
                Some(delayed) => delayed.poll_frame(cx, |_| Poll::Ready(frames.pop_front())),
                None => Poll::Ready(frames.pop_front()),
            }
        }
    }

    /// Returns what hyper has sent when the connection has ended.
    async fn sent(is_delayed: bool) -> String {
        let (mut client, server) = duplex(4096);
        let respond = service_fn(move |_| async move {
            let frames = VecDeque::from([Ok(Frame::data("some".into())), Err("broken".into())]);
            Ok::<_, Infallible>(Response::new(FailingBody {
                frames,
                delayed: is_delayed.then(DelayedError::default),
            }))
        });
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let served = tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), respond));
        let mut sent = String::new();
        client.read_to_string(&mut sent).await.unwrap();
        assert!(served.await.unwrap().is_err(), "a failed body looks complete");
        sent
    }

    #[tokio::test]
    async fn frames_before_an_error_are_flushed_if_the_error_is_delayed() {
        assert_eq!(sent(false).await, "", "hyper flushes by itself: the delay is not needed");
        let sent = sent(true).await;
        assert!(sent.starts_with("HTTP/1.1 200 OK\r\n") && sent.ends_with("\r\n4\r\nsome\r\n"), "{sent:?}");
    }
}
