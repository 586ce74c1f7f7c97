//! An endpoint that follows a script, answers pings and a Close, and keeps a log.

use std::{cell::RefCell, io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split},
    sync::Notify,
    task::yield_now,
    time::sleep,
};
use tower_upgrade_proxy::Side;

use super::{
    super::peer::{CLOSE, Frame, PING, PONG, closing, frame},
    decode::first_of,
};

/// What an endpoint does.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) frames: Vec<Frame>,
    /// Milliseconds before each write and read, again and again.
    pub(super) pauses: Vec<u64>,
    /// Bytes of each write and read.
    pub(super) sizes: Vec<usize>,
    /// Whether it closes when it has said all.
    pub(super) closes: bool,
    /// Whether it answers.
    pub(super) answers: bool,
    /// It finishes within the next frame once it has sent so many, or at the end.
    pub(super) leaves: Option<usize>,
}

/// What an endpoint has sent and received.
pub(super) struct Log {
    pub(super) side: Side,
    pub(super) sent: Vec<Frame>,
    /// The part it sent of a frame that it did not finish.
    pub(super) left: Vec<u8>,
    pub(super) received: Vec<u8>,
}

impl Log {
    pub(super) fn has_sent(&self, first: u8, payload: &[u8]) -> bool {
        self.sent.iter().any(|frame| frame.first == first && frame.payload == payload)
    }
}

pub(super) struct Endpoint {
    side: Side,
    script: Script,
    log: RefCell<Log>,
    heard: RefCell<Heard>,
    news: Notify,
}

#[derive(Default)]
struct Heard {
    pings: Vec<Vec<u8>>,
    /// In whole frames.
    bytes: usize,
    close: bool,
    end: bool,
}

impl Endpoint {
    pub(super) fn new(side: Side, script: Script) -> Self {
        let log = Log { side, sent: Vec::new(), left: Vec::new(), received: Vec::new() };
        Self { side, script, log: RefCell::new(log), heard: RefCell::default(), news: Notify::new() }
    }

    /// To the end of the connection.
    pub(super) async fn run(self, stream: DuplexStream) -> Log {
        let (read, write) = split(stream);
        let ((), _) = tokio::join!(self.listen(read), self.speak(write));
        self.log.into_inner()
    }

    fn pace(&self) -> impl Iterator<Item = (Duration, usize)> {
        let pauses = self.script.pauses.iter().cycle().map(|pause| Duration::from_millis(*pause));
        pauses.zip(self.script.sizes.iter().cycle().copied())
    }

    async fn listen(&self, mut stream: ReadHalf<DuplexStream>) {
        let other = if self.side == Side::Client { Side::Upstream } else { Side::Client };
        let mut block = vec![0; 3000];
        for (pause, size) in self.pace() {
            rest(pause).await;
            let size = if self.is_within_a_large_frame() { block.len() } else { size };
            let read = stream.read(&mut block[..size]).await.unwrap_or(0);
            let mut log = self.log.borrow_mut();
            log.received.extend(&block[..read]);
            let mut heard = self.heard.borrow_mut();
            heard.end = read == 0;
            // What is not valid is found at the end.
            while let Ok(Some((frame, size))) = first_of(other, &log.received[heard.bytes..]) {
                heard.bytes += size;
                match frame.first {
                    PING => heard.pings.push(frame.payload),
                    CLOSE => heard.close = true,
                    _ => {}
                }
            }
            self.news.notify_one();
            if read == 0 {
                break;
            }
        }
    }

    fn is_within_a_large_frame(&self) -> bool {
        self.log.borrow().received.len() - self.heard.borrow().bytes > 500
    }

    async fn speak(&self, mut stream: WriteHalf<DuplexStream>) -> io::Result<()> {
        for (at, frame) in self.script.frames.iter().enumerate() {
            self.answer(&mut stream).await?;
            if self.heard.borrow().close && self.script.answers {
                break;
            }
            if self.script.leaves.is_some_and(|leaves| leaves <= at) {
                return self.leave(&mut stream, frame).await;
            }
            self.send(&mut stream, frame).await?;
        }
        while !self.script.closes && !self.heard.borrow().close && !self.heard.borrow().end {
            self.answer(&mut stream).await?;
            self.news.notified().await;
        }
        if self.script.closes || self.script.answers && self.heard.borrow().close {
            self.send(&mut stream, &Frame { first: CLOSE, payload: closing(3333, "by itself") }).await?;
        }
        while !(self.heard.borrow().end || self.heard.borrow().close && self.script.answers) {
            self.news.notified().await;
        }
        stream.shutdown().await
    }

    async fn answer(&self, stream: &mut WriteHalf<DuplexStream>) -> io::Result<()> {
        let pings = std::mem::take(&mut self.heard.borrow_mut().pings);
        for payload in pings.into_iter().filter(|_| self.script.answers) {
            self.send(stream, &Frame { first: PONG, payload }).await?;
        }
        Ok(())
    }

    async fn send(&self, stream: &mut WriteHalf<DuplexStream>, next: &Frame) -> io::Result<()> {
        let bytes = frame(self.side, next.first, &next.payload);
        self.write(stream, &bytes).await?;
        let mut log = self.log.borrow_mut();
        log.left.clear();
        log.sent.push(next.clone());
        Ok(())
    }

    async fn leave(&self, stream: &mut WriteHalf<DuplexStream>, next: &Frame) -> io::Result<()> {
        let bytes = frame(self.side, next.first, &next.payload);
        self.write(stream, &bytes[..bytes.len() / 2]).await?;
        stream.shutdown().await
    }

    async fn write(&self, stream: &mut WriteHalf<DuplexStream>, mut bytes: &[u8]) -> io::Result<()> {
        for (pause, size) in self.pace() {
            if bytes.is_empty() {
                break;
            }
            rest(pause).await;
            // Large frames in no more than some hundred pieces.
            let size = size.max(bytes.len() / 100).min(bytes.len());
            let written = stream.write(&bytes[..size]).await?;
            self.log.borrow_mut().left.extend(&bytes[..written]);
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

async fn rest(pause: Duration) {
    if pause.is_zero() { yield_now().await } else { sleep(pause).await }
}
