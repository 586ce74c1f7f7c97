//! A stream with a fault in one operation.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::trickle::Trickle;

/// Operation on a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    Read,
    Write,
    Flush,
    Shutdown,
}

/// Behaviour of the faulty operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// It fails, and so does every later operation.
    Error(io::ErrorKind),
    /// It fails once.
    Once(io::ErrorKind),
    /// It stays pending without a wake, and so does every later one of its kind.
    Hang,
    /// It reads or writes 0 bytes.
    Zero,
    /// It is pending this often, each time with a wake.
    Pending(u32),
}

/// A fault in the operation with this number, from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) operation: Operation,
    pub(super) number: usize,
    pub(super) fault: Fault,
}

/// Record of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Bytes whose write has succeeded.
    pub(super) written: Vec<u8>,
    pub(super) read: Vec<u8>,
    pub(super) has_ended: bool,
    /// The fault has occurred.
    pub(super) is_faulty: bool,
    pub(super) shut_down: bool,
}

/// A stream that reads and writes few bytes at a time, with a fault in one operation.
pub(super) struct FaultyStream {
    inner: Trickle,
    plan: Option<Plan>,
    done: usize,
    pending: u32,
    log: Arc<Mutex<Log>>,
}

impl FaultyStream {
    pub(super) fn new(inner: DuplexStream, plan: Option<Plan>, log: &Arc<Mutex<Log>>) -> Self {
        // One byte, pending, seven bytes, no limit.
        let inner = Trickle::new(inner, vec![1, 0, 7, u8::MAX]);
        Self { inner, plan, done: 0, pending: 0, log: Arc::clone(log) }
    }

    /// Returns the result of `operation` if it is the faulty one.
    fn fault(&mut self, operation: Operation, cx: &mut Context<'_>) -> Option<Poll<io::Result<()>>> {
        let plan = self.plan.filter(|plan| plan.operation == operation || self.is_dead())?;
        if self.done < plan.number {
            return None;
        }
        self.log.lock().unwrap().is_faulty = true;
        match plan.fault {
            Fault::Error(kind) => Some(Poll::Ready(Err(kind.into()))),
            Fault::Once(kind) if self.done == plan.number => {
                self.done += 1;
                Some(Poll::Ready(Err(kind.into())))
            }
            Fault::Hang => Some(Poll::Pending),
            Fault::Zero => Some(Poll::Ready(Ok(()))),
            Fault::Pending(times) if self.pending < times => {
                self.pending += 1;
                cx.waker().wake_by_ref();
                Some(Poll::Pending)
            }
            Fault::Once(_) | Fault::Pending(_) => None,
        }
    }

    /// Returns true if the connection has failed for good.
    fn is_dead(&self) -> bool {
        let is_error = self.plan.is_some_and(|plan| matches!(plan.fault, Fault::Error(_)));
        is_error && self.log.lock().unwrap().is_faulty
    }

    /// Counts completed operations.
    fn done(&mut self, operation: Operation) {
        self.done += usize::from(self.plan.is_some_and(|plan| plan.operation == operation));
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(faulty) = self.fault(Operation::Read, cx) {
            self.log.lock().unwrap().has_ended |= matches!(faulty, Poll::Ready(Ok(())));
            return faulty;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            self.done(Operation::Read);
            let mut log = self.log.lock().unwrap();
            log.read.extend(&buf.filled()[before..]);
            log.has_ended |= buf.filled().len() == before;
        }
        read
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(faulty) = self.fault(Operation::Write, cx) {
            return faulty.map_ok(|()| 0);
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.done(Operation::Write);
            self.log.lock().unwrap().written.extend(&bytes[..count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(faulty) = self.fault(Operation::Flush, cx) {
            return faulty;
        }
        self.done(Operation::Flush);
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(faulty) = self.fault(Operation::Shutdown, cx) {
            return faulty;
        }
        self.done(Operation::Shutdown);
        self.log.lock().unwrap().shut_down = true;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
