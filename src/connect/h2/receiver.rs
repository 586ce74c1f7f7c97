//! [`Receiver`]: the received frames of a response.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;

use super::backlog::Backlog;
use crate::sync::{Mutex, MutexGuard};

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
        ended && state.frames.is_empty() && state.small.is_empty()
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
        let state = &mut *state;
        state.is_in_backlog = match &mut state.stream {
            Some(stream) if !state.is_awaited => {
                // The body registers its own waker when it waits.
                let mut cx = Context::from_waker(Waker::noop());
                while let Poll::Ready(Some(Ok(data))) = stream.poll_data(&mut cx) {
                    if data.len() < SMALL {
                        state.small.extend_from_slice(&data);
                    } else {
                        if !state.small.is_empty() {
                            state.frames.push_back(mem::take(&mut state.small).into());
                        }
                        state.frames.push_back(data);
                    }
                }
                true
            }
            _ => false,
        };
        state.is_in_backlog
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        let next = self.frames.pop_front().unwrap_or_else(|| mem::take(&mut self.small).into());
        let data = if next.is_empty() {
            loop {
                match stream.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) if data.is_empty() => {}
                    Poll::Ready(Some(Ok(data))) => break data,
                    other => return other,
                }
            }
        } else {
            next
        };
        let released = stream.flow_control().release_capacity(data.len());
        Poll::Ready(Some(released.map(|()| data)))
    }
}
