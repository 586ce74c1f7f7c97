//! HTTP/2 as frames, for both sides of the load: a connection with thousands of streams costs a table of their states.

use std::io;

use test_support::http2::frame::{self, ACK, END_HEADERS, PING, SETTINGS, WINDOW_UPDATE, frame};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::websocket::Received;

pub(crate) use frame::{DATA, END_STREAM, HEADERS, PREFACE, RST_STREAM};

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
pub(crate) const INITIAL_WINDOW: u16 = 4;

/// Increment that makes the window of a connection the largest one.
const WHOLE_WINDOW: u32 = (1 << 31) - 1 - 65_535;

/// Connection with frames that wait to be written.
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    received: Received,
    outgoing: Vec<u8>,
    /// Value of `SETTINGS_MAX_CONCURRENT_STREAMS` of the peer.
    pub(crate) streams: Option<u32>,
}

/// Frame that concerns a stream.
pub(crate) struct StreamFrame {
    pub(crate) kind: u8,
    flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl StreamFrame {
    pub(crate) fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

impl Connection {
    /// Connection that sends these settings, and has no window of its own apart from those of its streams.
    pub(crate) fn new(socket: TcpStream, settings: &[(u16, u32)]) -> Self {
        let mut connection =
            Self { socket, received: Received::default(), outgoing: Vec::new(), streams: None };
        connection.send(SETTINGS, 0, 0, &frame::settings(settings));
        connection.send(WINDOW_UPDATE, 0, 0, &WHOLE_WINDOW.to_be_bytes());
        connection
    }

    /// Puts the preface of a client before all frames.
    pub(crate) fn with_preface(mut self) -> Self {
        self.outgoing.splice(0..0, PREFACE.iter().copied());
        self
    }

    /// Reads the preface of a client.
    pub(crate) async fn read_preface(&mut self) -> io::Result<()> {
        while self.received.take(PREFACE.len()).is_none() {
            if !self.received.read(&self.socket).await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.outgoing.extend(frame(kind, flags, stream, payload));
    }

    /// Sends a header block that is complete and does not end its stream.
    pub(crate) fn send_headers(&mut self, stream: u32, block: &[u8]) {
        self.send(HEADERS, END_HEADERS, stream, block);
    }

    /// Writes all waiting frames.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        let outgoing = std::mem::take(&mut self.outgoing);
        self.socket.write_all(&outgoing).await
    }

    /// Waits for bytes; false at the end of the connection. It may be cancelled.
    pub(crate) async fn read(&mut self) -> io::Result<bool> {
        self.received.read(&self.socket).await
    }

    /// Returns the next received frame of a stream. Acknowledges SETTINGS and PING.
    pub(crate) fn next_frame(&mut self) -> Option<StreamFrame> {
        loop {
            let [a, b, c, kind, flags, stream @ ..] = self.received.peek::<9>()?;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let payload = self.received.take(9 + length)?.split_off(9);
            match kind {
                SETTINGS if flags & ACK == 0 => {
                    let max = |entry: &&[u8]| entry.starts_with(&frame::max_streams(0).0.to_be_bytes());
                    let entry = payload.chunks_exact(6).find(max).and_then(|entry| entry.last_chunk());
                    self.streams = entry.map(|value| u32::from_be_bytes(*value)).or(self.streams);
                    self.send(SETTINGS, ACK, 0, b"");
                }
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload),
                DATA | HEADERS | RST_STREAM => {
                    return Some(StreamFrame { kind, flags, stream: u32::from_be_bytes(stream), payload });
                }
                _ => {}
            }
        }
    }
}
