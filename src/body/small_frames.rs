//! [`SmallFrames`]: frames of a body, of which small ones that are available at once are copied together.
//!
//! A frame that waits for an HTTP/2 client costs its server some hundred bytes, whatever its size: an upstream that sends
//! chunks of one byte would fill the memory with them. Nothing is held back: a frame that is available alone is returned at once.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use crate::error::BoxError;

/// Frames below this size are copied together.
const SMALL: usize = 1024;

/// Maximum size of the copy. It also bounds the time of one poll.
const MAX: usize = 4096;

type Next = Option<Result<Frame<Bytes>, BoxError>>;

/// The frame behind those that were copied together.
#[derive(Debug, Default)]
pub(crate) struct SmallFrames(Option<Next>);

impl SmallFrames {
    /// Returns the next frame of `body`.
    pub(crate) fn poll_frame<B>(&mut self, cx: &mut Context<'_>, body: &mut B) -> Poll<Next>
    where
        B: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        if let Some(next) = self.0.take() {
            return Poll::Ready(next);
        }
        let mut first = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) if is_small(&frame) => Some(frame),
            next => return Poll::Ready(next),
        };
        let mut copy = BytesMut::new();
        for _ in 0..MAX {
            if body.is_end_stream() || copy.len() >= MAX {
                break;
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) if is_small(&frame) => {
                    for data in
                        first.take().into_iter().chain([frame]).filter_map(|frame| frame.into_data().ok())
                    {
                        copy.extend_from_slice(&data);
                    }
                }
                Poll::Ready(next) => {
                    self.0 = Some(next);
                    break;
                }
            }
        }
        // A frame alone is not copied.
        Poll::Ready(Some(Ok(first.unwrap_or_else(|| Frame::data(copy.freeze())))))
    }

    /// Returns true if no frame is kept here but the end of the body.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0, None | Some(None))
    }

    /// Returns true if the end of the body was read.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.0, Some(None))
    }

    /// Returns the length of the data kept here.
    pub(crate) fn kept(&self) -> u64 {
        match &self.0 {
            Some(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        }
    }
}

fn is_small(frame: &Frame<Bytes>) -> bool {
    frame.data_ref().is_some_and(|data| data.len() < SMALL)
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, task::Waker};

    use http::HeaderMap;

    use super::*;

    /// A body that returns these results.
    struct Scripted(VecDeque<Poll<Next>>);

    impl Body for Scripted {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Next> {
            self.0.pop_front().unwrap_or(Poll::Ready(None))
        }
    }

    fn data(length: usize) -> Poll<Next> {
        Poll::Ready(Some(Ok(Frame::data(vec![b'x'; length].into()))))
    }

    /// Returns the results of all polls, data frames by their length.
    fn polled(results: impl IntoIterator<Item = Poll<Next>>) -> Vec<String> {
        let (mut body, mut frames) = (Scripted(results.into_iter().collect()), SmallFrames::default());
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        loop {
            all.push(match frames.poll_frame(&mut cx, &mut body) {
                Poll::Pending => "pending".to_owned(),
                Poll::Ready(None) => return all,
                Poll::Ready(Some(Err(error))) => error.to_string(),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => data.len().to_string(),
                    Err(_) => "trailers".to_owned(),
                },
            });
        }
    }

    #[test]
    fn small_frames_that_are_available_are_copied_together() {
        let trailers = || Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new()))));
        let broken = || Poll::Ready(Some(Err("broken".into())));
        assert_eq!(polled([data(1), data(2), data(3)]), ["6"]);
        assert_eq!(polled([data(1), Poll::Pending, data(2), data(3)]), ["1", "5"]);
        assert_eq!(polled([data(1), data(2), data(5000), data(3)]), ["3", "5000", "3"]);
        assert_eq!(polled([data(5000), data(1)]), ["5000", "1"]);
        assert_eq!(polled([data(1), data(1), trailers()]), ["2", "trailers"]);
        assert_eq!(polled([data(1), data(1), broken()]), ["2", "broken"]);
        assert_eq!(polled([Poll::Pending, data(1)]), ["pending", "1"]);
    }

    #[test]
    fn copies_and_polls_are_bounded() {
        let sizes: Vec<usize> =
            polled((0..10_000).map(|_| data(1))).iter().map(|size| size.parse().unwrap()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 10_000);
        assert!(sizes.iter().all(|size| *size <= MAX + SMALL), "{sizes:?}");
        // Empty frames do not occupy the thread either.
        assert_eq!(polled((0..10_000).map(|_| data(0))).len(), 10_000 / (MAX + 1) + 1);
    }

    #[test]
    fn the_kept_frame_counts_as_unread() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut frames = SmallFrames::default();
        let mut body = Scripted([data(1), data(1), data(5000)].into());
        assert!(frames.poll_frame(&mut cx, &mut body).is_ready());
        assert_eq!((frames.is_empty(), frames.has_ended(), frames.kept()), (false, false, 5000));
        let mut body = Scripted([data(1), data(1)].into());
        frames = SmallFrames::default();
        assert!(frames.poll_frame(&mut cx, &mut body).is_ready());
        assert_eq!((frames.is_empty(), frames.has_ended(), frames.kept()), (true, true, 0));
    }
}
