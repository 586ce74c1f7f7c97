//! One connection: opening it, and permits for its streams.

use std::{
    pin::{Pin, pin},
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    FlowControl, Reason, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{
    backlog::{Backlog, Frames, Socket},
    config::{Http2, LARGEST_WINDOW},
    keep_alive::{End, keep_alive},
    turn::Turn,
};
use crate::{
    io::{bounded::Bounded, coalesced::MAX_WRITE, transport::Transport},
    sync::{Mutex, MutexGuard},
};

/// Use of a stream. Upgrades need extended CONNECT
/// ([RFC 8441, 3](https://www.rfc-editor.org/rfc/rfc8441#section-3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Upgrade,
    Requests,
}

/// A connection in the pool. Its frames are read and written by a task.
pub(super) struct SharedConnection {
    state: Mutex<State>,
    backlog: Arc<Backlog>,
}

struct State {
    /// `None` when the connection takes no more streams.
    sender: Option<SendRequest<Bytes>>,
    permits: usize,
    /// It has had a stream.
    was_used: bool,
    /// The time at which the last permit was given back.
    unused_since: Instant,
    /// Streams dropped by their tunnels, and kept until the task has sent what is queued on them. `None` when
    /// the task has ended.
    releasing: Option<Vec<FlowControl>>,
    /// Waker of the task, until a stream is to be released.
    task: Option<Waker>,
}

/// Permission for one stream of a connection, held as long as the stream.
pub(crate) struct StreamPermit {
    connection: Arc<SharedConnection>,
    notify_free: Arc<Notify>,
    /// Until the stream is opened.
    sender: Option<SendRequest<Bytes>>,
    /// The connection has had a stream before.
    is_reused: bool,
}

/// Starts HTTP/2 on `transport`, and waits for the SETTINGS with which the upstream begins
/// ([RFC 9113, 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)). Before these, an upstream that
/// allows extended CONNECT cannot be distinguished from one that does not.
///
/// # Errors
///
/// h2's, when the upstream closes the connection or sends something else.
pub(super) async fn open(
    transport: Transport,
    config: &Http2,
) -> Result<(SendRequest<Bytes>, Frames), h2::Error> {
    let turn = Turn::default();
    turn.begin();
    let (socket, backlog) = Socket::new(Bounded::new(transport, turn.clone()));
    let (sender, connection) = client::Builder::new()
        .initial_window_size(config.stream_window)
        .initial_connection_window_size(LARGEST_WINDOW)
        .max_header_list_size(config.max_header_list_size)
        .max_send_buffer_size(4 * MAX_WRITE)
        // Frames on streams that were reset a while ago are counted as errors, for as long as the
        // connection lives.
        .max_local_error_reset_streams(None)
        // Until the SETTINGS allow more.
        .initial_max_send_streams(0)
        .enable_push(false)
        .handshake(socket)
        .await?;
    let mut frames = Frames { connection, turn, backlog };
    std::future::poll_fn(|cx| match Pin::new(&mut frames).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(Reason::NO_ERROR.into())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((sender, frames))
}

impl SharedConnection {
    /// Starts the task that reads and writes the frames, and ends the connection when it has had no streams
    /// for `idle_timeout`.
    pub(super) fn start(
        (sender, mut frames): (SendRequest<Bytes>, Frames),
        config: &Http2,
        idle_timeout: Duration,
    ) -> Arc<Self> {
        let state = State {
            sender: Some(sender),
            permits: 0,
            was_used: false,
            unused_since: Instant::now(),
            releasing: Some(Vec::new()),
            task: None,
        };
        let backlog = Arc::clone(&frames.backlog);
        let connection = Arc::new(Self { state: Mutex::new(state), backlog });
        let pings = frames.connection.ping_pong();
        let (config, shared) = (config.clone(), Arc::clone(&connection));
        tokio::spawn(async move {
            let mut frames = pin!(frames);
            let mut keep_alive = pin!(keep_alive(pings, &shared, &config, idle_timeout));
            let end = std::future::poll_fn(|cx| {
                // Dropped after the poll that sends what is queued on them.
                let _releasing = shared.take_releasing(cx);
                match frames.as_mut().poll(cx) {
                    Poll::Ready(_) => Poll::Ready(End::Closed),
                    Poll::Pending => keep_alive.as_mut().poll(cx),
                }
            });
            match end.await {
                End::Closed => {}
                // Without a sender, h2 sends GOAWAY and closes the connection by itself.
                End::Unused => drop(timeout(config.keep_alive_timeout, frames).await),
                End::Dead => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(
                        "HTTP/2 connection to the upstream is dead: a PING was not acknowledged in time"
                    );
                }
            }
            shared.retire();
        });
        connection
    }

    /// Returns true if the upstream allows what `purpose` needs.
    pub(super) fn supports(&self, purpose: Purpose) -> bool {
        self.state().supports(purpose)
    }

    /// Returns a permit, if a stream is free.
    pub(super) fn reserve(
        self: &Arc<Self>,
        notify_free: &Arc<Notify>,
        purpose: Purpose,
    ) -> Option<StreamPermit> {
        let mut state = self.state();
        let sender = state.sender.clone()?;
        (state.supports(purpose) && state.permits < sender.current_max_send_streams()).then(|| {
            state.permits += 1;
            StreamPermit {
                connection: Arc::clone(self),
                notify_free: Arc::clone(notify_free),
                sender: Some(sender),
                is_reused: std::mem::replace(&mut state.was_used, true),
            }
        })
    }

    /// Returns true if the connection takes more streams, now or when one of its streams has ended.
    pub(super) fn is_open(&self) -> bool {
        let mut state = self.state();
        let Some(sender) = &mut state.sender else { return false };
        // Ready with an error once the upstream has sent GOAWAY or the connection has failed.
        match sender.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(_)) => state.sender = None,
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        state.sender.is_some()
    }

    fn retire(&self) {
        let mut state = self.state();
        (state.sender, state.releasing, state.task) = (None, None, None);
        drop(state);
        self.backlog.release();
    }

    /// Retires the connection if it has had no streams for `limit`. Otherwise returns the time until that may
    /// be so.
    pub(super) fn retire_unused(&self, limit: Duration) -> Option<Duration> {
        let mut state = self.state();
        let left = match state.permits {
            0 => limit.saturating_sub(state.unused_since.elapsed()),
            _ => return Some(limit),
        };
        if left.is_zero() {
            state.sender = None;
            return None;
        }
        Some(left)
    }

    fn take_releasing(&self, cx: &mut Context<'_>) -> Option<Vec<FlowControl>> {
        let mut state = self.state();
        match &mut state.task {
            Some(task) => task.clone_from(cx.waker()),
            None => state.task = Some(cx.waker().clone()),
        }
        state.releasing.replace(Vec::new())
    }

    pub(super) fn is_used(&self) -> bool {
        self.state().permits > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn supports(&self, purpose: Purpose) -> bool {
        let sender = self.sender.as_ref();
        purpose == Purpose::Requests || sender.is_some_and(SendRequest::is_extended_connect_protocol_enabled)
    }
}

impl StreamPermit {
    /// Opens the stream. This is possible once.
    pub(super) fn send(
        &mut self,
        request: Request<()>,
        end_of_stream: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        match self.sender.take() {
            Some(mut sender) => sender.send_request(request, end_of_stream),
            None => Err(Reason::REFUSED_STREAM.into()),
        }
    }

    /// Returns the backlog of the connection.
    pub(super) fn backlog(&self) -> &Arc<Backlog> {
        &self.connection.backlog
    }

    pub(in crate::connect) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Lets the connection take no more streams.
    pub(in crate::connect) fn make_private(&mut self) {
        self.connection.state().sender = None;
    }

    /// Drops `stream` when the task has sent what is queued on it, as far as that is possible at once. If it
    /// were dropped before, its reset would replace what is queued.
    pub(super) fn release(&self, stream: FlowControl) {
        let mut state = self.connection.state();
        if let Some(releasing) = &mut state.releasing {
            releasing.push(stream);
        }
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state.permits -= 1;
        state.unused_since = Instant::now();
        drop(state);
        self.notify_free.notify_one();
    }
}
