//! Buffer for received bytes.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use tokio::io::ReadBuf;

use super::transport::Transport;

/// Twice the largest frame of this program, so that a whole frame always fits after the rest of another.
const CAPACITY: usize = 128 * 1024 + 64;

thread_local! {
    /// Unused buffers, shared by all connections, so that idle ones need none.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Buffer that has memory only while it contains bytes.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// Received bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Removes the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
        if self.start == self.end && !self.bytes.is_empty() {
            self.release();
        }
    }

    /// Reads once. The end of the stream is an error, because callers expect more bytes.
    pub(crate) async fn fill(&mut self, transport: &mut Transport) -> io::Result<()> {
        match poll_fn(|cx| self.poll_fill(transport, cx)).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed")),
            _ => Ok(()),
        }
    }

    /// Reads and discards until the end of the stream.
    pub(crate) async fn drain(&mut self, transport: &mut Transport) -> io::Result<()> {
        loop {
            self.consume(self.end - self.start);
            if poll_fn(|cx| self.poll_fill(transport, cx)).await? == 0 {
                return Ok(());
            }
        }
    }

    fn poll_fill(&mut self, transport: &mut Transport, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(transport.poll_read_ready(cx))?;
        if self.bytes.is_empty() {
            let spare = SPARE.with_borrow_mut(Vec::pop);
            self.bytes = spare.unwrap_or_else(|| vec![0; CAPACITY]);
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 && self.end > CAPACITY / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == CAPACITY {
            return Poll::Ready(Err(io::Error::other("a message larger than the buffer")));
        }
        let mut free = ReadBuf::new(&mut self.bytes[self.end..]);
        let read = transport.poll_read(cx, &mut free).map_ok(|()| free.filled().len());
        if let Poll::Ready(Ok(count)) = read {
            self.end += count;
        }
        if self.start == self.end {
            self.release();
        }
        read
    }

    fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        (self.start, self.end) = (0, 0);
        SPARE.with_borrow_mut(|spare| spare.push(bytes));
    }
}
