//! A stream in memory that does what a script says.

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

/// What one side does. The steps are as in [`Step::of`]; when there are no more, all that is left goes at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// What it says, up to its end.
    pub(crate) said: Vec<u8>,
    /// How much of that was read before the tunnel began.
    pub(crate) early: usize,
    pub(crate) reads: Vec<u8>,
    pub(crate) writes: Vec<u8>,
}

/// How far a read, a write, a flush or a shutdown gets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// No more than so many bytes.
    Bytes(usize),
    /// Not now, but when it is asked again.
    Again,
    /// Not for so many seconds.
    Pause(u64),
    Fail,
    /// Never.
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

/// What has become of a side.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// What it was told.
    pub(crate) heard: Vec<u8>,
    /// How much of what it says was read.
    pub(crate) read: usize,
    /// It has said that it finished.
    pub(crate) ended: bool,
    /// It was told that the other has finished.
    pub(crate) told: bool,
    /// A call failed.
    pub(crate) failed: bool,
    /// A write, flush or shutdown failed or had to wait.
    pub(crate) resisted: bool,
}

pub(super) struct Scripted {
    script: Script,
    reads: Course,
    writes: Course,
    log: Arc<Mutex<Log>>,
}

/// Steps, and the pause that one of them is.
#[derive(Default)]
struct Course {
    at: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Course {
    /// `None` is a step that fails.
    fn poll(&mut self, steps: &[u8], cx: &mut Context<'_>) -> Poll<Option<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let Some(step) = steps.get(self.at).copied().map(Step::of) else {
            return Poll::Ready(Some(usize::MAX));
        };
        if step == Step::Hang {
            return Poll::Pending;
        }
        self.at += 1;
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
        let (reads, writes) = (Course::default(), Course::default());
        (Self { script: script.clone(), reads, writes, log: Arc::clone(&log) }, log)
    }

    fn poll_writes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let step = self.writes.poll(&self.script.writes, cx);
        let mut log = self.log.lock().unwrap();
        log.resisted |= !matches!(step, Poll::Ready(Some(_)));
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
        assert!(!log.ended, "read behind the end");
        let Some(bytes) = step else {
            log.failed = true;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let left = &this.script.said[log.read..];
        let given = bytes.min(left.len()).min(buf.remaining());
        buf.put_slice(&left[..given]);
        log.read += given;
        log.ended = given == 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = ready!(self.poll_writes(cx))?.min(bytes.len());
        let mut log = self.log.lock().unwrap();
        assert!(!log.told, "written behind the end");
        log.heard.extend(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writes(cx).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_writes(cx))?;
        self.log.lock().unwrap().told = true;
        Poll::Ready(Ok(()))
    }
}
