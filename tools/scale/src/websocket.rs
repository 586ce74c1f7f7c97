//! WebSocket frames of the load: messages of a few bytes, each in one frame.

use std::io;

use test_support::websocket::frame::{FrameHeader, frame_with};
use tokio::net::TcpStream;

pub(crate) use test_support::websocket::frame::{BINARY, CLOSE};

/// Message that the upstream returns.
pub(crate) const ECHO: &[u8] = b"echo me, please";

/// Message after which the upstream sends until its connection ends.
pub(crate) const FLOOD: &[u8] = b"flood";

/// Key of zeros: the payload is the same with and without the mask, so that neither side spends time on it.
const KEY: [u8; 4] = [0; 4];

/// Frame of a client.
pub(crate) fn from_client(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, Some(KEY))
}

/// Frame of the upstream.
pub(crate) fn from_upstream(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, None)
}

/// Received bytes. It has no buffer while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Received {
    bytes: Vec<u8>,
}

impl Received {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads what has arrived; false at the end of the stream.
    pub(crate) async fn read(&mut self, socket: &TcpStream) -> io::Result<bool> {
        loop {
            socket.readable().await?;
            match self.try_read(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(length) => return Ok(length > 0),
            }
        }
    }

    /// The buffer of the read is on the stack, and no part of the future of each tunnel.
    fn try_read(&mut self, socket: &TcpStream) -> io::Result<usize> {
        let mut buffer = [0; 16 << 10];
        let length = socket.try_read(&mut buffer)?;
        self.push(&buffer[..length]);
        Ok(length)
    }

    /// Removes a head of HTTP/1.1 with its empty line; `None` if it is incomplete.
    pub(crate) fn take_head(&mut self) -> Option<String> {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
        self.consume(end);
        Some(head)
    }

    /// Removes a frame: its first byte, and its payload as it was sent. `None` if it is incomplete.
    pub(crate) fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let header = FrameHeader::decode(&self.bytes).filter(|it| it.total() <= self.bytes.len())?;
        let payload = self.bytes[header.size..header.total()].to_vec();
        self.consume(header.total());
        Some((header.first, payload))
    }

    /// Removes `length` bytes if there are as many.
    pub(crate) fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let taken = self.bytes.get(..length)?.to_vec();
        self.consume(length);
        Some(taken)
    }

    /// The bytes from `from` to `to`, if they have been received.
    pub(crate) fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes.first_chunk().copied()
    }

    fn consume(&mut self, length: usize) {
        match length == self.bytes.len() {
            true => self.bytes = Vec::new(),
            false => drop(self.bytes.drain(..length)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_heads_are_taken_when_they_are_complete() {
        let mut received = Received::default();
        received.push(b"HTTP/1.1 101 Switching Protocols\r\n\r");
        assert_eq!(received.take_head(), None);
        received.push(b"\n\x82\x01");
        assert!(received.take_head().is_some_and(|head| head.ends_with("\r\n\r\n")));
        assert_eq!(received.take_frame(), None);
        received.push(b"a");
        assert_eq!(received.take_frame(), Some((BINARY, b"a".to_vec())));
        received.push(&from_client(BINARY, ECHO));
        assert_eq!(received.take_frame(), Some((BINARY, ECHO.to_vec())));
        assert_eq!(received.bytes.capacity(), 0);
    }
}
