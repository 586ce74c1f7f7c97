//! [`Upload`]: the progress of a request's body.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::Outgoing;
use crate::error::{BoxError, ClientBody};

/// Progress of a request's body, shared by the body and the wait for the response.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    started: Instant,
    progress: Arc<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Milliseconds from the start to the last frame.
    last: AtomicU64,
    awaits_client: AtomicBool,
}

impl Upload {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), progress: Arc::default() }
    }

    /// Returns `body` as the body of a request to the upstream, with its progress recorded here.
    pub(crate) fn track<B>(&self, body: B) -> Outgoing
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let body = body.map_err(ClientBody::boxed);
        Either::Right(Tracked { body, upload: self.clone() }.boxed_unsync())
    }

    /// Returns the time of the last frame, or the start; `None` beyond the range of the clock.
    pub(crate) fn last_progress(&self) -> Option<Instant> {
        self.started.checked_add(Duration::from_millis(self.progress.last.load(Ordering::Relaxed)))
    }

    /// Returns true if the upstream has taken every frame received so far, and the client owes the next one.
    pub(crate) fn awaits_client(&self) -> bool {
        self.progress.awaits_client.load(Ordering::Relaxed)
    }

    pub(crate) fn record(&self, received: bool) {
        if received {
            let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.progress.last.store(elapsed, Ordering::Relaxed);
        }
        self.progress.awaits_client.store(!received, Ordering::Relaxed);
    }
}

pin_project! {
    /// A body that records its progress.
    struct Tracked<B> {
        #[pin]
        body: B,
        upload: Upload,
    }
}

impl<B> Body for Tracked<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        this.upload.record(frame.is_ready());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
