//! The body of the answer to a refused WebSocket handshake, limited in time and size.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
    time::timeout,
};

use crate::{body::BoxBody, body::DelayedError, error::BoxError, limits::Permit};

#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// From the head to the end.
    pub(crate) timeout: Duration,
    /// In bytes.
    pub(crate) size: u64,
}

/// More bytes than may come.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// `body` with limits. Unless it is empty, it is read by a task: a body that nobody asks for more, because the
/// client does not read, could not notice that its time is over. Dropping what is returned ends the task. As long
/// as it reads, the upstream's connection holds the permit of the tunnel that it did not become.
///
/// # Errors
///
/// When `body` says itself that it is too large.
pub(crate) fn limited(body: BoxBody, limits: BodyLimits, permit: Permit) -> Result<BoxBody, TooLarge> {
    let size = body.size_hint();
    if size.lower() > limits.size {
        return Err(TooLarge);
    }
    if body.is_end_stream() {
        return Ok(body);
    }
    let (sender, frames) = mpsc::channel(1);
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        let _permit = permit;
        match timeout(limits.timeout, read(body, limits.size, sender)).await {
            Ok(result) => result,
            Err(_) => Err(TimedOut.into()),
        }
    });
    Ok(BoxBody::new(Limited { frames, reading, delayed: DelayedError::default(), left: size.exact() }))
}

/// Reads a frame when there is room for it, so that a slow client holds the upstream back.
async fn read(mut body: BoxBody, most: u64, sender: Sender<Frame<Bytes>>) -> Result<(), BoxError> {
    let mut left = most;
    while let Ok(place) = sender.reserve().await {
        let Some(frame) = body.frame().await.transpose()? else { break };
        left = left.checked_sub(length(&frame)).ok_or(TooLarge)?;
        place.send(frame);
    }
    Ok(())
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, Bytes::len) as u64
}

struct Limited {
    frames: Receiver<Frame<Bytes>>,
    reading: JoinSet<Result<(), BoxError>>,
    delayed: DelayedError,
    /// How many bytes are to come, if that is known.
    left: Option<u64>,
}

impl Body for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { frames, reading, delayed, left } = &mut *self;
        delayed.poll_frame(cx, |cx| {
            if let Some(frame) = ready!(frames.poll_recv(cx)) {
                *left = left.map(|left| left.saturating_sub(length(&frame)));
                return Poll::Ready(Some(Ok(frame)));
            }
            // The channel is closed by the end of the task, which tells an end from a failure.
            match ready!(reading.poll_join_next(cx)) {
                None | Some(Ok(Ok(()))) => Poll::Ready(None),
                Some(Ok(Err(error))) => Poll::Ready(Some(Err(error))),
                Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the upstream's refusal is too large")
    }
}

impl StdError for TooLarge {}

/// The answer was not passed on in time, by whosever fault.
#[derive(Debug)]
struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream's refusal was not passed on in time")
    }
}

impl StdError for TimedOut {}
