//! [`Receiver`]: the received frames of a response.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;

use super::backlog::Backlog;
use crate::{
    io::coalesced::MAX_WRITE,
    sync::{Mutex, MutexGuard},
};

/// Frames below this size are copied together.
const SMALL: usize = 1024;

/// The received frames of a response, shared by its body and the task of its connection: the task copies small frames
/// together while the body is not read. The window is released when the frames are read.
pub(super) struct Receiver {
    state: Mutex<State>,
    backlog: Arc<Backlog>,
}

struct State {
    /// `None` when the body was dropped.
    stream: Option<RecvStream>,
    /// Frames taken out of h2, followed by the bytes of small frames.
    frames: VecDeque<Bytes>,
    small: Vec<u8>,
    /// The body waits for a frame.
    is_awaited: bool,
    is_in_backlog: bool,
}

impl Receiver {
    pub(super) fn new(stream: RecvStream, backlog: &Arc<Backlog>) -> Arc<Self> {
        let state = State {
            stream: Some(stream),
            frames: VecDeque::new(),
            small: Vec::new(),
            is_awaited: false,
            is_in_backlog: true,
        };
        let receiver = Arc::new(Self { state: Mutex::new(state), backlog: Arc::clone(backlog) });
        backlog.add(Arc::clone(&receiver));
        receiver
    }

    /// Returns the next frame that is not empty, and releases its window.
    pub(super) fn poll_data(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let mut state = self.state();
        let polled = state.poll_data(cx);
        state.is_awaited = polled.is_pending();
        if polled.is_ready() && !mem::replace(&mut state.is_in_backlog, true) {
            drop(state);
            self.backlog.add(Arc::clone(self));
        }
        polled
    }

    pub(super) fn poll_trailers(&self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        let mut state = self.state();
        let polled = match &mut state.stream {
            Some(stream) => stream.poll_trailers(cx),
            None => Poll::Ready(Ok(None)),
        };
        state.is_awaited = polled.is_pending();
        polled
    }

    /// Returns true if all frames were read, and no others follow.
    pub(super) fn is_end_stream(&self) -> bool {
        let state = self.state();
        let ended = state.stream.as_ref().is_none_or(RecvStream::is_end_stream);
        ended && state.is_empty()
    }

    /// Drops the stream, which resets it before its end.
    pub(super) fn close(&self) {
        let mut state = self.state();
        let stream = state.stream.take();
        (state.frames, state.small) = Default::default();
        drop(state);
        drop(stream);
    }

    /// Takes unread frames out of h2. Returns false if the body waits for a frame, or is dropped.
    pub(super) fn compact(&self) -> bool {
        let mut state = self.state();
        state.is_in_backlog = state.stream.is_some() && !state.is_awaited;
        if state.is_in_backlog {
            // The body registers its own waker when it waits.
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(Some(Ok(data))) = state.poll_frame(&mut cx) {
                state.push(data);
            }
        }
        state.is_in_backlog
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the next frame, or the small frames that are available, copied together.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        if self.is_empty() {
            let data = match ready!(self.poll_frame(cx)) {
                Some(Ok(data)) => data,
                end => return Poll::Ready(end),
            };
            if data.len() >= SMALL {
                return Poll::Ready(Some(self.release(data)));
            }
            // A frame alone is not copied. The next poll returns an end or an error again.
            let Poll::Ready(Some(Ok(next))) = self.poll_frame(cx) else {
                return Poll::Ready(Some(self.release(data)));
            };
            self.push(data);
            self.push(next);
            while self.frames.is_empty()
                && self.small.len() < MAX_WRITE
                && let Poll::Ready(Some(Ok(data))) = self.poll_frame(cx)
            {
                self.push(data);
            }
        }
        let data = self.frames.pop_front().unwrap_or_else(|| mem::take(&mut self.small).into());
        Poll::Ready(Some(self.release(data)))
    }

    /// Takes the next frame that is not empty out of h2.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        loop {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                next => return Poll::Ready(next),
            }
        }
    }

    /// Adds a frame behind those that were taken out of h2.
    fn push(&mut self, data: Bytes) {
        if data.len() < SMALL {
            self.small.extend_from_slice(&data);
            return;
        }
        if !self.small.is_empty() {
            self.frames.push_back(mem::take(&mut self.small).into());
        }
        self.frames.push_back(data);
    }

    /// Releases the window of `data`.
    fn release(&mut self, data: Bytes) -> Result<Bytes, h2::Error> {
        if let Some(stream) = &mut self.stream {
            stream.flow_control().release_capacity(data.len())?;
        }
        Ok(data)
    }

    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.small.is_empty()
    }
}
