//! One connection: opening it, permits on it, keeping it alive.

use std::{
    pin::{Pin, pin},
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    FlowControl, Ping, PingPong, Reason, SendStream,
    client::{self, ResponseFuture, SendRequest},
};
use http::Request;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::config::{Http2, LARGEST_WINDOW};
use crate::{connect::Purpose, io::coalesced::MOST, io::transport::Transport, sync::Mutex, sync::MutexGuard};

type Frames = client::Connection<Transport, Bytes>;

/// A connection as the pool sees it. The frames are its task's business.
pub(super) struct Connection(Mutex<State>);

struct State {
    /// `None` when it takes no more streams.
    sender: Option<SendRequest<Bytes>>,
    permits: usize,
    /// When the last permit was given back.
    unused_since: Instant,
    /// Streams that their tunnels have let go of, and the task that does so after them, until it ends.
    releasing: Option<Vec<FlowControl>>,
    task: Option<Waker>,
}

/// The right to one stream of a connection, held as long as the stream.
pub(crate) struct StreamPermit {
    connection: Arc<Connection>,
    notify_free: Arc<Notify>,
    /// Until the stream is opened.
    sender: Option<SendRequest<Bytes>>,
}

/// Speaks HTTP/2 on `transport`, and waits for the SETTINGS with which the upstream begins
/// ([RFC 9113, 3.4](https://www.rfc-editor.org/rfc/rfc9113#section-3.4)): before them, an upstream
/// without extended CONNECT looks like one that has not said so yet.
///
/// # Errors
///
/// h2's, when the upstream closes or speaks something else.
pub(super) async fn open(
    transport: Transport,
    config: &Http2,
) -> Result<(SendRequest<Bytes>, Frames), h2::Error> {
    let (sender, mut frames) = client::Builder::new()
        .initial_window_size(config.stream_window)
        .initial_connection_window_size(LARGEST_WINDOW)
        .max_header_list_size(config.max_header_list_size)
        .max_send_buffer_size(4 * MOST)
        // Frames on streams that were reset a while ago are counted as errors, for as long as the
        // connection lives.
        .max_local_error_reset_streams(None)
        // Stays so until the SETTINGS say otherwise.
        .initial_max_send_streams(0)
        .enable_push(false)
        .handshake(transport)
        .await?;
    std::future::poll_fn(|cx| match Pin::new(&mut frames).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(Reason::NO_ERROR.into())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
        Poll::Pending => Poll::Pending,
    })
    .await?;
    Ok((sender, frames))
}

impl Connection {
    /// Starts the task that moves the frames.
    pub(super) fn start(
        (sender, mut frames): (SendRequest<Bytes>, Frames),
        config: &Http2,
        unused: Duration,
    ) -> Arc<Self> {
        let state = State {
            sender: Some(sender),
            permits: 0,
            unused_since: Instant::now(),
            releasing: Some(Vec::new()),
            task: None,
        };
        let connection = Arc::new(Self(Mutex::new(state)));
        let pings = frames.ping_pong();
        let (config, alive) = (config.clone(), Arc::clone(&connection));
        tokio::spawn(async move {
            let mut frames = pin!(frames);
            let mut keeping = pin!(keep_alive(pings, &alive, &config, unused));
            let end = std::future::poll_fn(|cx| {
                // Dropped after the poll that sends what is left on them.
                let _releasing = alive.take_releasing(cx);
                match frames.as_mut().poll(cx) {
                    Poll::Ready(_) => Poll::Ready(End::Closed),
                    Poll::Pending => keeping.as_mut().poll(cx),
                }
            });
            match end.await {
                End::Closed => {}
                // Without a sender it says farewell by itself.
                End::Unused => drop(timeout(config.keep_alive_timeout, frames).await),
                End::Dead => {
                    #[cfg(feature = "tracing")]
                    tracing::warn!(
                        "HTTP/2 connection to the upstream is dead: a PING was not answered in time"
                    );
                }
            }
            alive.retire();
        });
        connection
    }

    /// Whether it takes what `purpose` needs: extended CONNECT, for upgrades.
    pub(super) fn suits(&self, purpose: Purpose) -> bool {
        self.state().suits(purpose)
    }

    /// A permit for a stream, if there is one.
    pub(super) fn reserve(
        self: &Arc<Self>,
        notify_free: &Arc<Notify>,
        purpose: Purpose,
    ) -> Option<StreamPermit> {
        let mut state = self.state();
        let sender = state.sender.clone()?;
        (state.suits(purpose) && state.permits < sender.current_max_send_streams()).then(|| {
            state.permits += 1;
            StreamPermit {
                connection: Arc::clone(self),
                notify_free: Arc::clone(notify_free),
                sender: Some(sender),
            }
        })
    }

    /// Whether it takes streams, now or when one of them has ended.
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
    }

    /// Takes no more streams if it has had none for `limit`; else, when that may be so.
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn suits(&self, purpose: Purpose) -> bool {
        let sender = self.sender.as_ref();
        purpose == Purpose::Requests || sender.is_some_and(SendRequest::is_extended_connect_protocol_enabled)
    }
}

impl StreamPermit {
    /// Opens the stream. It can be done once.
    pub(super) fn send(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        match self.sender.take() {
            Some(mut sender) => sender.send_request(request, ends),
            None => Err(Reason::REFUSED_STREAM.into()),
        }
    }

    /// Lets go of a stream when what was written is sent, as far as it can be now. Otherwise the reset
    /// of a stream that is dropped replaces what is queued on it.
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

/// Between two looks at a connection, so that a limit of 0 is no busy loop.
const SHORTEST: Duration = Duration::from_millis(10);

/// Why a connection comes to its end.
enum End {
    Closed,
    Unused,
    Dead,
}

/// Ends when nobody has used the connection for a while, or the upstream does not answer a PING.
async fn keep_alive(
    pings: Option<PingPong>,
    connection: &Connection,
    config: &Http2,
    limit: Duration,
) -> End {
    let mut unused = pin!(unused(connection, limit));
    let mut dead = pin!(dead(pings, connection, config));
    std::future::poll_fn(|cx| match unused.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(End::Unused),
        Poll::Pending => dead.as_mut().poll(cx).map(|()| End::Dead),
    })
    .await
}

async fn unused(connection: &Connection, limit: Duration) {
    let mut left = limit;
    loop {
        sleep(left.max(SHORTEST)).await;
        match connection.retire_unused(limit) {
            Some(later) => left = later,
            None => return,
        }
    }
}

async fn dead(pings: Option<PingPong>, connection: &Connection, config: &Http2) {
    let (Some(mut pings), Some(interval)) = (pings, config.keep_alive_interval) else {
        return std::future::pending().await;
    };
    loop {
        sleep(interval.max(SHORTEST)).await;
        if connection.is_used() && timeout(config.keep_alive_timeout, ping(&mut pings)).await.is_err() {
            return;
        }
    }
}

/// A PING and its answer. An error is that of the connection, whose own future tells it.
async fn ping(pings: &mut PingPong) {
    if pings.send_ping(Ping::opaque()).is_ok() {
        let _ = std::future::poll_fn(|cx| pings.poll_pong(cx)).await;
    }
}
