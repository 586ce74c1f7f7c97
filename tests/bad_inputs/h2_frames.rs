//! An HTTP/2 client that sends arbitrary frames
//! ([RFC 9113, 4](https://www.rfc-editor.org/rfc/rfc9113#section-4)).

use std::{collections::VecDeque, net::SocketAddr};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{
    bounded,
    frame::{
        ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, RawFrame, SETTINGS,
        frame,
    },
};

/// Error codes ([RFC 9113, 7](https://www.rfc-editor.org/rfc/rfc9113#section-7)).
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const CANCEL: u32 = 8;

/// Returns the field block of an extended CONNECT for `websocket` and `https://a.example/chat`, in literals
/// without indexing ([RFC 7541, 6.2.2](https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2)).
pub(crate) fn websocket() -> Vec<u8> {
    fields(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "a.example"),
        ("sec-websocket-version", "13"),
    ])
}

/// Returns a field block.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.bytes());
        }
    }
    block
}

/// A frame of the proxy, other than SETTINGS and `WINDOW_UPDATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// With the status, if the tests expect it.
    Headers {
        stream: u32,
        status: Option<u16>,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        ends: bool,
    },
    Reset {
        stream: u32,
        reason: u32,
    },
    GoAway {
        reason: u32,
    },
    Pong,
    /// The end of the connection, with or without a reset.
    End,
}

/// A connection of the client.
pub(crate) struct Frames {
    pub(crate) stream: TcpStream,
    read: VecDeque<Frame>,
    next: u32,
}

impl Frames {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = bounded("connect", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut frames = Self { stream, read: VecDeque::new(), next: 1 };
        bounded("send", frames.stream.write_all(PREFACE)).await.unwrap();
        frames.write(SETTINGS, 0, 0, b"").await;
        frames
    }

    /// Opens a stream with the field block `block`.
    pub(crate) async fn ask(&mut self, block: &[u8]) -> u32 {
        let stream = self.next;
        self.next += 2;
        self.write(HEADERS, END_HEADERS, stream, block).await;
        stream
    }

    pub(crate) async fn data(&mut self, stream: u32, bytes: impl AsRef<[u8]>) {
        self.write(DATA, 0, stream, bytes.as_ref()).await;
    }

    pub(crate) async fn finish(&mut self, stream: u32) {
        self.write(DATA, END_STREAM, stream, b"").await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, reason: u32) {
        self.write(RST_STREAM, 0, stream, &reason.to_be_bytes()).await;
    }

    pub(crate) async fn goaway(&mut self) {
        self.write(GOAWAY, 0, 0, &[0; 8]).await;
    }

    /// Waits until the proxy has read everything sent so far. Frames received meanwhile are kept.
    pub(crate) async fn settle(&mut self) {
        self.write(PING, 0, 0, &[0; 8]).await;
        loop {
            match self.receive().await {
                Frame::Pong => return,
                Frame::End => panic!("the end instead of a PING ACK"),
                frame => self.read.push_back(frame),
            }
        }
    }

    /// Returns the next frame.
    pub(crate) async fn next(&mut self) -> Frame {
        match self.read.pop_front() {
            Some(frame) => frame,
            None => self.receive().await,
        }
    }

    /// Returns the next frame of `stream`, and drops those of other streams.
    pub(crate) async fn next_of(&mut self, stream: u32) -> Frame {
        loop {
            match self.next().await {
                Frame::Headers { stream: of, .. }
                | Frame::Data { stream: of, .. }
                | Frame::Reset { stream: of, .. }
                    if of != stream => {}
                frame => return frame,
            }
        }
    }

    /// Returns the status of the response on `stream`.
    pub(crate) async fn status(&mut self, stream: u32) -> u16 {
        match self.next_of(stream).await {
            Frame::Headers { status: Some(status), .. } => status,
            frame => panic!("{frame:?} instead of a response"),
        }
    }

    /// Requires these bytes on `stream`, and no other frames.
    pub(crate) async fn expect(&mut self, stream: u32, expected: impl AsRef<[u8]>) {
        let (expected, mut read) = (expected.as_ref(), Vec::new());
        while read.len() < expected.len() {
            match self.next_of(stream).await {
                Frame::Data { bytes, .. } => read.extend(bytes),
                frame => panic!("{frame:?} instead of {expected:?}"),
            }
        }
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(expected));
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        bounded("send", self.stream.write_all(&frame(kind, flags, stream, payload))).await.unwrap();
    }

    async fn receive(&mut self) -> Frame {
        loop {
            let Some(frame) = RawFrame::read(&mut self.stream).await else { return Frame::End };
            let (stream, ends) = (frame.stream, frame.has(END_STREAM));
            match frame.kind {
                DATA => return Frame::Data { stream, bytes: frame.payload, ends },
                HEADERS => return Frame::Headers { stream, status: status(&frame.payload) },
                RST_STREAM => return Frame::Reset { stream, reason: frame.number(0) },
                GOAWAY => return Frame::GoAway { reason: frame.number(4) },
                PING if frame.has(ACK) => return Frame::Pong,
                PING => self.write(PING, ACK, 0, &frame.payload).await,
                SETTINGS if !frame.has(ACK) => self.write(SETTINGS, ACK, 0, b"").await,
                _ => {}
            }
        }
    }
}

/// Returns the frames that open `stream` and reset it.
pub(crate) fn opened_and_reset(stream: u32) -> Vec<u8> {
    let opens = frame(HEADERS, END_HEADERS, stream, &websocket());
    [opens, frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
}

/// Returns the status at the start of a field block
/// ([RFC 7541, A](https://www.rfc-editor.org/rfc/rfc7541#appendix-A)): from the static table, or three digits
/// in Huffman code.
fn status(block: &[u8]) -> Option<u16> {
    match block {
        [0x88, ..] => Some(200),
        [0x8c, ..] => Some(400),
        [0x8d, ..] => Some(404),
        [0x8e, ..] => Some(500),
        [0x48, 0x82, 0x6c, 0x01, ..] => Some(501),
        [0x48, 0x82, 0x6c, 0x02, ..] => Some(502),
        _ => None,
    }
}
