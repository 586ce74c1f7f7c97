//! [`Backlog`]: small frames of a connection that cannot be passed on at once.
//!
//! A frame in a queue of h2 takes some 500 bytes, however small it is.

use std::{
    io, mem,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use h2::client;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{receiver::Receiver, turn::Turn};
use crate::{
    io::bounded::Bounded,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Writes below this size wait while the socket accepts no bytes.
pub(super) const SMALL_WRITE: usize = 1024;

/// Receivers whose frames are not read, and senders of frames that are not written.
pub(super) struct Backlog {
    unread: Mutex<Vec<Arc<Receiver>>>,
    is_blocked: AtomicBool,
    senders: Mutex<Vec<Waker>>,
}

impl Backlog {
    /// Adds a receiver whose last frame was read, and whose next frame may not be.
    pub(super) fn add(&self, receiver: Arc<Receiver>) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).push(receiver);
    }

    /// Copies the unread frames together, and wakes the senders if the socket accepts bytes. To be called when frames
    /// have been received and sent.
    pub(super) fn compact(&self) {
        let unread = || self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receivers = mem::take(&mut *unread());
        if !receivers.is_empty() {
            receivers.retain(|receiver| receiver.compact());
            unread().append(&mut receivers);
        }
        if !self.is_blocked.load(Ordering::Acquire) {
            let senders = mem::take(&mut *self.senders.lock().unwrap_or_else(PoisonError::into_inner));
            senders.into_iter().for_each(Waker::wake);
        }
    }

    /// Ends the waits of the senders, when the connection has ended.
    pub(super) fn release(&self) {
        self.is_blocked.store(false, Ordering::Release);
        self.compact();
    }

    /// Ready when the socket accepts bytes.
    pub(super) fn poll_unblocked(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_blocked.load(Ordering::Acquire) {
            let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
            if !senders.iter().any(|sender| sender.will_wake(cx.waker())) {
                senders.push(cx.waker().clone());
            }
            drop(senders);
            if self.is_blocked.load(Ordering::Acquire) {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

/// The socket of a connection, which reports whether it accepts bytes.
pub(super) struct Socket {
    io: Bounded<Turn>,
    backlog: Arc<Backlog>,
}

impl Socket {
    pub(super) fn new(io: Bounded<Turn>) -> (Self, Arc<Backlog>) {
        let backlog = Arc::new(Backlog {
            unread: Mutex::new(Vec::new()),
            is_blocked: AtomicBool::new(false),
            senders: Mutex::new(Vec::new()),
        });
        (Self { io, backlog: Arc::clone(&backlog) }, backlog)
    }

    fn written<T>(&self, written: Poll<T>) -> Poll<T> {
        self.backlog.is_blocked.store(written.is_pending(), Ordering::Release);
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Future that reads and writes the frames of a connection, a [`Turn`] in each poll.
pub(super) struct Frames {
    pub(super) connection: client::Connection<Socket, Bytes>,
    pub(super) turn: Turn,
    pub(super) backlog: Arc<Backlog>,
}

impl Future for Frames {
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.turn.begin();
        let polled = Pin::new(&mut self.connection).poll(cx);
        self.backlog.compact();
        polled
    }
}
