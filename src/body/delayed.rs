//! How a body fails.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use crate::error::BoxError;

/// An error that is told one poll late. hyper drops what it has not flushed as soon as a body fails: the head,
/// and what came in the same moment. A body that has nothing for now is flushed first.
#[derive(Debug, Default)]
pub(crate) struct DelayedError(Option<BoxError>);

impl DelayedError {
    /// What `poll` comes to, or the error it came to before.
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

    /// Everything is there at once: a piece, and the failure.
    struct Breaking {
        frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
        delayed: Option<DelayedError>,
    }

    impl Body for Breaking {
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

    /// What hyper has sent of it when the connection has ended.
    async fn sent(is_late: bool) -> String {
        let (mut client, server) = duplex(4096);
        let answer = service_fn(move |_| async move {
            let frames = VecDeque::from([Ok(Frame::data("some".into())), Err("broken".into())]);
            Ok::<_, Infallible>(Response::new(Breaking {
                frames,
                delayed: is_late.then(DelayedError::default),
            }))
        });
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let served = tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), answer));
        let mut sent = String::new();
        client.read_to_string(&mut sent).await.unwrap();
        assert!(served.await.unwrap().is_err(), "it does not look complete");
        sent
    }

    #[tokio::test]
    async fn what_comes_in_the_moment_of_a_failure_is_flushed_if_the_error_is_late() {
        assert_eq!(sent(false).await, "", "hyper flushes by itself: the delay can go");
        let sent = sent(true).await;
        assert!(sent.starts_with("HTTP/1.1 200 OK\r\n") && sent.ends_with("\r\n4\r\nsome\r\n"), "{sent:?}");
    }
}
