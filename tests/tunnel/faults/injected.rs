//! A stream in which one operation goes wrong.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::jerky::Jerky;

/// What is done with a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    Read,
    Write,
    Flush,
    Shutdown,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// It fails, and so does whatever is tried later.
    Error(io::ErrorKind),
    /// It fails, and nothing else does.
    Once(io::ErrorKind),
    /// It is never done, and nobody is woken; like all of its kind that are tried later.
    Hang,
    /// Nothing is read, which is the end; nothing is written.
    Zero,
    /// It is not done so many times, with a wake each time.
    Storm(u32),
}

/// Which one goes wrong, and how: the one of that number, from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) operation: Operation,
    pub(super) number: usize,
    pub(super) fault: Fault,
}

/// What has happened to a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// What its writer was told has been written.
    pub(super) written: Vec<u8>,
    pub(super) read: Vec<u8>,
    pub(super) has_ended: bool,
    /// The fault has come about.
    pub(super) struck: bool,
    pub(super) shut_down: bool,
}

/// A stream that takes and gives little at a time, until one operation goes wrong.
pub(super) struct Injected {
    inner: Jerky,
    plan: Option<Plan>,
    done: usize,
    storm: u32,
    log: Arc<Mutex<Log>>,
}

impl Injected {
    pub(super) fn new(inner: DuplexStream, plan: Option<Plan>, log: &Arc<Mutex<Log>>) -> Self {
        // One byte, none yet, some, all there are.
        let inner = Jerky::new(inner, vec![1, 0, 7, u8::MAX]);
        Self { inner, plan, done: 0, storm: 0, log: Arc::clone(log) }
    }

    /// Whether `operation` goes on as it would: with nothing, or the end it comes to instead.
    fn strike(&mut self, operation: Operation, cx: &mut Context<'_>) -> Option<Poll<io::Result<()>>> {
        let plan = self.plan.filter(|plan| plan.operation == operation || self.is_dead())?;
        if self.done < plan.number {
            return None;
        }
        self.log.lock().unwrap().struck = true;
        match plan.fault {
            Fault::Error(kind) => Some(Poll::Ready(Err(kind.into()))),
            Fault::Once(kind) if self.done == plan.number => {
                self.done += 1;
                Some(Poll::Ready(Err(kind.into())))
            }
            Fault::Hang => Some(Poll::Pending),
            Fault::Zero => Some(Poll::Ready(Ok(()))),
            Fault::Storm(times) if self.storm < times => {
                self.storm += 1;
                cx.waker().wake_by_ref();
                Some(Poll::Pending)
            }
            Fault::Once(_) | Fault::Storm(_) => None,
        }
    }

    /// A connection that has failed once does not come back.
    fn is_dead(&self) -> bool {
        let is_error = self.plan.is_some_and(|plan| matches!(plan.fault, Fault::Error(_)));
        is_error && self.log.lock().unwrap().struck
    }

    /// Counts what was done of that kind.
    fn done(&mut self, operation: Operation) {
        self.done += usize::from(self.plan.is_some_and(|plan| plan.operation == operation));
    }
}

impl AsyncRead for Injected {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(instead) = self.strike(Operation::Read, cx) {
            self.log.lock().unwrap().has_ended |= matches!(instead, Poll::Ready(Ok(())));
            return instead;
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

impl AsyncWrite for Injected {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(instead) = self.strike(Operation::Write, cx) {
            return instead.map_ok(|()| 0);
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.done(Operation::Write);
            self.log.lock().unwrap().written.extend(&bytes[..count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(instead) = self.strike(Operation::Flush, cx) {
            return instead;
        }
        self.done(Operation::Flush);
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(instead) = self.strike(Operation::Shutdown, cx) {
            return instead;
        }
        self.done(Operation::Shutdown);
        self.log.lock().unwrap().shut_down = true;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
