//! A scripted stream in memory.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// Behaviour of one side. [`Step::of`] decodes the steps; after the last one there is no limit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// The bytes that it sends before its end.
    pub(crate) sends: Vec<u8>,
    /// The number of them that were read before the tunnel began.
    pub(crate) early: usize,
    pub(crate) reads: Vec<u8>,
    pub(crate) writes: Vec<u8>,
}

/// Result of a read, write, flush or shutdown.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// At most this many bytes.
    Bytes(usize),
    /// Pending once, with a wake.
    Again,
    /// Pending for this many seconds.
    Pause(u64),
    Fail,
    /// Pending without a wake.
    Hang,
}

impl Step {
    fn of(byte: u8) -> Self {
        match byte {
            0..40 => Self::Again,
            40..48 => Self::Pause(1),
            48..50 => Self::Pause(20),
            50 => Self::Pause(100),
            51 => Self::Fail,
            52 => Self::Hang,
            53..200 => Self::Bytes(usize::from(byte) - 52),
            200..250 => Self::Bytes((usize::from(byte) - 199) * 1021),
            250.. => Self::Bytes(usize::MAX),
        }
    }
}

/// Record of a side.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) received: Vec<u8>,
    /// The number of its bytes that were read.
    pub(crate) read: usize,
    /// Its end was read.
    pub(crate) ended: bool,
    /// Its write half was shut down.
    pub(crate) is_shut_down: bool,
    /// An operation failed.
    pub(crate) failed: bool,
    /// A write, flush or shutdown failed or was pending.
    pub(crate) was_blocked: bool,
}

pub(super) struct Scripted {
    script: Script,
    reads: Steps,
    writes: Steps,
    log: Arc<Mutex<Log>>,
}

/// Position in the steps, and the current pause.
#[derive(Default)]
struct Steps {
    next: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Steps {
    /// Returns the limit of the next operation. `None` for a failure.
    fn poll(&mut self, steps: &[u8], cx: &mut Context<'_>) -> Poll<Option<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let Some(step) = steps.get(self.next).copied().map(Step::of) else {
            return Poll::Ready(Some(usize::MAX));
        };
        if step == Step::Hang {
            return Poll::Pending;
        }
        self.next += 1;
        match step {
            Step::Bytes(bytes) => Poll::Ready(Some(bytes)),
            Step::Again => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Step::Pause(seconds) => {
                self.pause = Some(Box::pin(sleep(Duration::from_secs(seconds))));
                self.poll(steps, cx)
            }
            Step::Fail | Step::Hang => Poll::Ready(None),
        }
    }
}

impl Scripted {
    pub(super) fn new(script: &Script) -> (Self, Arc<Mutex<Log>>) {
        let log = Arc::new(Mutex::new(Log { read: script.early, ..Log::default() }));
        let (reads, writes) = (Steps::default(), Steps::default());
        (Self { script: script.clone(), reads, writes, log: Arc::clone(&log) }, log)
    }

    fn poll_writes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let step = self.writes.poll(&self.script.writes, cx);
        let mut log = self.log.lock().unwrap();
        log.was_blocked |= !matches!(step, Poll::Ready(Some(_)));
        match ready!(step) {
            Some(bytes) => Poll::Ready(Ok(bytes)),
            None => {
                log.failed = true;
                Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
            }
        }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let step = ready!(this.reads.poll(&this.script.reads, cx));
        let mut log = this.log.lock().unwrap();
        assert!(!log.ended, "read after the end");
        let Some(bytes) = step else {
            log.failed = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let rest = &this.script.sends[log.read..];
        let given = bytes.min(rest.len()).min(buf.remaining());
        buf.put_slice(&rest[..given]);
        log.read += given;
        log.ended = given == 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let accepted = ready!(self.poll_writes(cx))?.min(bytes.len());
        let mut log = self.log.lock().unwrap();
        assert!(!log.is_shut_down, "written after the shutdown");
        log.received.extend(&bytes[..accepted]);
        Poll::Ready(Ok(accepted))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writes(cx).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_writes(cx))?;
        self.log.lock().unwrap().is_shut_down = true;
        Poll::Ready(Ok(()))
    }
}
