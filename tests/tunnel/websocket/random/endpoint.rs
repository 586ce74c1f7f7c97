//! An endpoint that follows a script, answers Pings and a Close, and keeps a log.

use std::{cell::RefCell, io, time::Duration};

use test_support::websocket::frame::{CLOSE, Frame, PING, PONG, close_payload, decode_first, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, split},
    sync::Notify,
    task::yield_now,
    time::sleep,
};
use tower_upgrade_proxy::Side;

/// Behaviour of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) frames: Vec<Frame>,
    /// Milliseconds before each write and read, in a cycle.
    pub(super) pauses: Vec<u64>,
    /// Bytes of each write and read, in a cycle.
    pub(super) sizes: Vec<usize>,
    /// Sends a Close after its frames.
    pub(super) closes: bool,
    /// Answers Pings and a Close.
    pub(super) answers: bool,
    /// Number of frames after which it ends the connection, in the middle of the next frame.
    pub(super) leaves_after: Option<usize>,
}

/// Frames and bytes that an endpoint has sent and received.
pub(super) struct Log {
    pub(super) side: Side,
    pub(super) sent: Vec<Frame>,
    /// The part that was sent of an unfinished frame.
    pub(super) unfinished: Vec<u8>,
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
    received: RefCell<Received>,
    progress: Notify,
}

#[derive(Default)]
struct Received {
    pings: Vec<Vec<u8>>,
    /// Bytes in complete frames.
    bytes: usize,
    close: bool,
    end: bool,
}

impl Endpoint {
    pub(super) fn new(side: Side, script: Script) -> Self {
        let log = Log { side, sent: Vec::new(), unfinished: Vec::new(), received: Vec::new() };
        Self { side, script, log: RefCell::new(log), received: RefCell::default(), progress: Notify::new() }
    }

    /// Runs until the end of the connection.
    pub(super) async fn run(self, stream: DuplexStream) -> Log {
        let (read, write) = split(stream);
        let ((), _) = tokio::join!(self.receive(read), self.send_script(write));
        self.log.into_inner()
    }

    fn pace(&self) -> impl Iterator<Item = (Duration, usize)> {
        let pauses = self.script.pauses.iter().cycle().map(|pause| Duration::from_millis(*pause));
        pauses.zip(self.script.sizes.iter().cycle().copied())
    }

    async fn receive(&self, mut stream: ReadHalf<DuplexStream>) {
        let other = if self.side == Side::Client { Side::Upstream } else { Side::Client };
        let mut block = vec![0; 3000];
        for (pause, size) in self.pace() {
            wait(pause).await;
            let size = if self.is_within_a_large_frame() { block.len() } else { size };
            let read = stream.read(&mut block[..size]).await.unwrap_or(0);
            let mut log = self.log.borrow_mut();
            log.received.extend(&block[..read]);
            let mut received = self.received.borrow_mut();
            received.end = read == 0;
            // Invalid frames are reported at the end, by `decode`.
            while let Ok(Some((frame, size))) = decode_first(other, &log.received[received.bytes..]) {
                received.bytes += size;
                match frame.first {
                    PING => received.pings.push(frame.payload),
                    CLOSE => received.close = true,
                    _ => {}
                }
            }
            self.progress.notify_one();
            if read == 0 {
                break;
            }
        }
    }

    fn is_within_a_large_frame(&self) -> bool {
        self.log.borrow().received.len() - self.received.borrow().bytes > 500
    }

    async fn send_script(&self, mut stream: WriteHalf<DuplexStream>) -> io::Result<()> {
        for (at, frame) in self.script.frames.iter().enumerate() {
            self.answer(&mut stream).await?;
            if self.received.borrow().close && self.script.answers {
                break;
            }
            if self.script.leaves_after.is_some_and(|leaves_after| leaves_after <= at) {
                return self.send_half(&mut stream, frame).await;
            }
            self.send(&mut stream, frame).await?;
        }
        while !self.script.closes && !self.received.borrow().close && !self.received.borrow().end {
            self.answer(&mut stream).await?;
            self.progress.notified().await;
        }
        if self.script.closes || self.script.answers && self.received.borrow().close {
            self.send(&mut stream, &Frame { first: CLOSE, payload: close_payload(3333, "by itself") })
                .await?;
        }
        while !(self.received.borrow().end || self.received.borrow().close && self.script.answers) {
            self.progress.notified().await;
        }
        stream.shutdown().await
    }

    async fn answer(&self, stream: &mut WriteHalf<DuplexStream>) -> io::Result<()> {
        let pings = std::mem::take(&mut self.received.borrow_mut().pings);
        for payload in pings.into_iter().filter(|_| self.script.answers) {
            self.send(stream, &Frame { first: PONG, payload }).await?;
        }
        Ok(())
    }

    async fn send(&self, stream: &mut WriteHalf<DuplexStream>, next: &Frame) -> io::Result<()> {
        let bytes = frame(self.side, next.first, &next.payload);
        self.write(stream, &bytes).await?;
        let mut log = self.log.borrow_mut();
        log.unfinished.clear();
        log.sent.push(next.clone());
        Ok(())
    }

    async fn send_half(&self, stream: &mut WriteHalf<DuplexStream>, next: &Frame) -> io::Result<()> {
        let bytes = frame(self.side, next.first, &next.payload);
        self.write(stream, &bytes[..bytes.len() / 2]).await?;
        stream.shutdown().await
    }

    async fn write(&self, stream: &mut WriteHalf<DuplexStream>, mut bytes: &[u8]) -> io::Result<()> {
        for (pause, size) in self.pace() {
            if bytes.is_empty() {
                break;
            }
            wait(pause).await;
            // Large frames in about a hundred writes.
            let size = size.max(bytes.len() / 100).min(bytes.len());
            let written = stream.write(&bytes[..size]).await?;
            self.log.borrow_mut().unfinished.extend(&bytes[..written]);
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

async fn wait(pause: Duration) {
    if pause.is_zero() { yield_now().await } else { sleep(pause).await }
}
