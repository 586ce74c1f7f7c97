//! A response's body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Frame, SizeHint};

use super::{Place, exchange::Sending};
use crate::error::BoxError;

/// The body of an answer, which goes on sending what is left of the request's. Dropping it before
/// its end resets the stream.
pub(crate) struct Body {
    receive: RecvStream,
    sending: Option<Sending>,
    data_ended: bool,
    _place: Place,
}

impl Body {
    pub(super) fn new(receive: RecvStream, sending: Option<Sending>, place: Place) -> Self {
        Self { receive, sending, data_ended: false, _place: place }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(sending) = &mut self.sending
            && let Poll::Ready(sent) = sending.as_mut().poll(cx)
        {
            self.sending = None;
            sent?;
        }
        while !self.data_ended {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.receive.flow_control().release_capacity(data.len())?;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // "I have finished, and want no more of the request."
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.receive.poll_trailers(cx))?;
        Poll::Ready(trailers.map(Frame::trailers).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.sending.is_none() && self.receive.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.receive.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("receive", &self.receive).finish_non_exhaustive()
    }
}
