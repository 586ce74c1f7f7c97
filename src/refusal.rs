//! The body of a response that refuses an upgrade, limited in time and size.

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

use crate::{
    body::{BoxBody, DelayedError},
    error::BoxError,
    limits::Permit,
};

/// Limits on the body of a response that refuses an upgrade.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// From the response head to the end of the body.
    pub(crate) timeout: Duration,
    /// In bytes.
    pub(crate) size: u64,
}

/// Error: the body exceeds its size limit.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// Limits `body`. Unless it is empty, a task reads it: a body that is not polled, because the client does not
/// read, could not end when its time is over. Dropping the returned body ends the task. The permit of the
/// tunnel is held until the task has ended, because the upstream's connection is open until then.
///
/// # Errors
///
/// If the announced size of `body` exceeds the limit.
pub(crate) fn limit(body: BoxBody, limits: BodyLimits, permit: Permit) -> Result<BoxBody, TooLarge> {
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

/// Reads a frame when the channel has capacity for it: if the client stops reading, so does the task.
async fn read(mut body: BoxBody, limit: u64, sender: Sender<Frame<Bytes>>) -> Result<(), BoxError> {
    let mut left = limit;
    while let Ok(slot) = sender.reserve().await {
        let Some(frame) = body.frame().await.transpose()? else { break };
        left = left.checked_sub(length(&frame)).ok_or(TooLarge)?;
        slot.send(frame);
    }
    Ok(())
}

fn length(frame: &Frame<Bytes>) -> u64 {
    frame.data_ref().map_or(0, Bytes::len) as u64
}

/// The limited body: the frames received from the task.
struct Limited {
    frames: Receiver<Frame<Bytes>>,
    reading: JoinSet<Result<(), BoxError>>,
    delayed: DelayedError,
    /// The bytes left, if the length is known.
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
            // The task closes the channel when it ends, and returns the error if there is one.
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
        f.write_str("the body of the upstream's response is too large")
    }
}

impl StdError for TooLarge {}

/// Error: the time limit has expired, whichever side was slow.
#[derive(Debug)]
struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream's response was not relayed in time")
    }
}

impl StdError for TimedOut {}
