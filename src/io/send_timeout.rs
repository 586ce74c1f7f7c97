//! [`SendTimeout`], for the connections of a server.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// A client's connection that fails when it has accepted no byte for a time, while there were bytes to write.
///
/// For servers: a client that does not read keeps a connection open, and what the server has queued for it, also after
/// [`send_timeout`](crate::UpgradeProxyLayer::send_timeout) has released the upstream. Wrap each accepted
/// socket:
///
/// ```
/// use std::{net::SocketAddr, time::Duration};
/// use tokio::net::{TcpListener, TcpStream};
/// use tower_upgrade_proxy::SendTimeout;
///
/// struct Listener(TcpListener);
///
/// impl axum::serve::Listener for Listener {
///     type Io = SendTimeout<TcpStream>;
///     type Addr = SocketAddr;
///
///     async fn accept(&mut self) -> (Self::Io, SocketAddr) {
///         let (socket, peer) = axum::serve::Listener::accept(&mut self.0).await;
///         (SendTimeout::new(socket, Duration::from_secs(60)), peer)
///     }
///
///     fn local_addr(&self) -> std::io::Result<SocketAddr> {
///         self.0.local_addr()
///     }
/// }
/// ```
///
/// A tunnel is not subject to the limit, because there a receiver that does not read holds back its sender: it takes
/// the socket out, if that is a `TcpStream` or a `UnixStream`. Around another type, [lift](SendTimeoutSwitch::lift) the limit when the
/// server has released the connection.
#[derive(Debug)]
pub struct SendTimeout<T> {
    io: T,
    limit: Option<Duration>,
    lifted: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    /// The time of the first write that was not accepted, after the last one that was.
    blocked_since: Option<Instant>,
    /// Set once a write was not accepted.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Ends the limit of a [`SendTimeout`].
#[derive(Clone, Debug)]
pub struct SendTimeoutSwitch(Arc<AtomicBool>);

impl SendTimeoutSwitch {
    /// Ends the limit from the next write on.
    pub fn lift(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Counter of the bytes that a server has read from a [`SendTimeout`]. With it, a server distinguishes a connection without a
/// request from one that has received a part of a head.
#[derive(Clone, Debug)]
pub struct BytesReceived(Arc<AtomicU64>);

impl BytesReceived {
    /// Returns the number of bytes read so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<T> SendTimeout<T> {
    /// Limits the writes of `io`. `None` for no limit.
    #[must_use]
    pub fn new(io: T, limit: impl Into<Option<Duration>>) -> Self {
        Self {
            io,
            limit: limit.into(),
            lifted: Arc::default(),
            received: Arc::default(),
            blocked_since: None,
            timer: None,
        }
    }

    /// Returns a switch that ends the limit.
    #[must_use]
    pub fn switch(&self) -> SendTimeoutSwitch {
        SendTimeoutSwitch(Arc::clone(&self.lifted))
    }

    /// Returns a counter of the bytes read from the connection.
    #[must_use]
    pub fn bytes_received(&self) -> BytesReceived {
        BytesReceived(Arc::clone(&self.received))
    }

    /// Returns a reference to the connection.
    #[must_use]
    pub fn get_ref(&self) -> &T {
        &self.io
    }

    /// Returns the connection without a limit.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.io
    }

    /// Returns the result of a write, or an error if the limit has passed.
    fn limit<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        let Some(limit) = self.limit.filter(|_| written.is_pending() && !self.lifted.load(Ordering::Relaxed))
        else {
            self.blocked_since = None;
            return written;
        };
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        let Some(deadline) = since.checked_add(limit) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // The timer was set for an earlier write.
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SendTimeout<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        let length = buf.filled().len() - before;
        self.received.fetch_add(length as u64, Ordering::Relaxed);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SendTimeout<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.limit(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.limit(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.limit(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.io).poll_shutdown(cx);
        self.limit(cx, shut_down)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_write_fails_when_nothing_was_accepted_for_the_limit() {
        let (mut client, server) = duplex(8);
        let mut server = SendTimeout::new(server, LIMIT);
        let started = Instant::now();
        let reading = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(LIMIT * 9 / 10).await;
                client.read_u8().await.unwrap();
            }
            client
        });
        let error = server.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), LIMIT * 9 / 10 * 5 + LIMIT);
        drop(reading.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_without_bytes_to_write_does_not_count() {
        let (mut client, server) = duplex(8);
        let mut server = SendTimeout::new(server, LIMIT);
        for _ in 0..3 {
            server.write_all(&[0; 8]).await.unwrap();
            tokio::time::sleep(LIMIT * 2).await;
            let blocked = server.write_u8(1);
            let (blocked, read) = tokio::join!(blocked, async {
                tokio::time::sleep(LIMIT / 2).await;
                client.read_exact(&mut [0; 9]).await
            });
            blocked.unwrap();
            read.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lifted_limit_never_passes() {
        let (mut client, server) = duplex(8);
        let mut server = SendTimeout::new(server, LIMIT);
        let switch = server.switch();
        let reading = tokio::spawn(async move {
            tokio::time::sleep(LIMIT / 2).await;
            switch.lift();
            tokio::time::sleep(LIMIT * 10).await;
            client.read_exact(&mut [0; 100]).await.unwrap();
        });
        server.write_all(&[0; 100]).await.unwrap();
        reading.await.unwrap();
    }
}
