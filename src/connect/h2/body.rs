//! [`Body`]: the body of a response in HTTP/2.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};
use tokio::task::JoinSet;

use super::{connection::StreamPermit, receiver::Receiver};
use crate::error::BoxError;

/// Future that sends a request's body. Its error ends the stream.
pub(super) type Sending = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// The body of a response. Dropping it before its end resets the stream.
///
/// The rest of the request's body is sent by a task, which ends with this body: a client that reads the
/// response late must not delay its own upload.
pub(crate) struct Body {
    receive: Arc<Receiver>,
    sending: JoinSet<Result<(), BoxError>>,
    data_ended: bool,
    _permit: StreamPermit,
}

impl Body {
    pub(super) fn new(receive: RecvStream, sending: Option<Sending>, permit: StreamPermit) -> Self {
        let mut tasks = JoinSet::new();
        if let Some(sending) = sending {
            tasks.spawn(sending);
        }
        let receive = Receiver::new(receive, permit.backlog());
        Self { receive, sending: tasks, data_ended: false, _permit: permit }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(Some(sent)) = self.sending.poll_join_next(cx) {
            sent??;
        }
        while !self.data_ended {
            match ready!(self.receive.poll_data(cx)) {
                Some(Ok(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.data_ended = true,
            }
        }
        let trailers = ready!(self.receive.poll_trailers(cx))?;
        Poll::Ready(trailers.map(Frame::trailers).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.sending.is_empty() && self.receive.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.receive.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.receive.close();
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}
