//! An upstream's connection in HTTP/2 ([RFC 9113, 4](https://www.rfc-editor.org/rfc/rfc9113#section-4)),
//! every frame of which the test reads and writes.

use std::collections::VecDeque;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Scripted, bounded,
    frame::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM,
        RawFrame, SETTINGS, frame,
    },
};

/// `SETTINGS_ENABLE_CONNECT_PROTOCOL`.
pub(crate) const CONNECT_PROTOCOL: (u16, u32) = (8, 1);

/// `SETTINGS_MAX_CONCURRENT_STREAMS`.
pub(crate) const fn streams(most: u32) -> (u16, u32) {
    (3, most)
}

/// Reasons ([RFC 9113, 7](https://www.rfc-editor.org/rfc/rfc9113#section-7)).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;

/// Header blocks ([RFC 7541, A](https://www.rfc-editor.org/rfc/rfc7541#appendix-A)): `:status: 200`.
pub(crate) const OK: &[u8] = b"\x88";

/// A field whose value has `length` bytes, more than 127.
pub(crate) fn long_field(length: usize) -> Vec<u8> {
    let (mut field, mut rest) = (b"\x00\x01x\x7f".to_vec(), length - 127);
    while rest > 127 {
        field.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    field.push(rest as u8);
    field.resize(field.len() + length, b'v');
    field
}

/// What the proxy has sent. Its SETTINGS, `WINDOW_UPDATE` and acknowledgements are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Headers {
        stream: u32,
        ends: bool,
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
    Ping(Vec<u8>),
    /// The end of the connection, however it came.
    End,
}

pub(crate) struct Frames<S = TcpStream> {
    stream: S,
    /// Read while something else was waited for.
    read: VecDeque<Frame>,
    acknowledged: usize,
}

impl Frames {
    /// The next connection, with what the upstream's SETTINGS say.
    pub(crate) async fn accept(upstream: &Scripted, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self::silent(upstream).await;
        frames.settings(settings).await;
        frames
    }

    /// The next connection, before any SETTINGS.
    pub(crate) async fn silent(upstream: &Scripted) -> Self {
        Self::over(upstream.accept().await.stream).await
    }

    /// Ends the connection with a reset of the socket.
    pub(crate) fn reset_connection(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// A connection, before any SETTINGS.
    pub(crate) async fn over(mut stream: S) -> Self {
        let mut preface = [0; PREFACE.len()];
        bounded("the preface", stream.read_exact(&mut preface)).await.unwrap();
        assert_eq!(preface, PREFACE);
        Self { stream, read: VecDeque::new(), acknowledged: 0 }
    }

    /// Sends SETTINGS and waits until they are followed.
    pub(crate) async fn settings(&mut self, settings: &[(u16, u32)]) {
        let values = settings.iter().flat_map(|(name, value)| {
            name.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect::<Vec<_>>()
        });
        self.write(SETTINGS, 0, 0, &values.collect::<Vec<_>>()).await;
        self.acknowledgement().await;
    }

    /// Of SETTINGS or a PING. What comes before it is kept.
    async fn acknowledgement(&mut self) {
        let before = self.acknowledged;
        while self.acknowledged == before {
            if let Some(frame) = self.receive().await {
                assert_ne!(frame, Frame::End, "instead of the acknowledgement");
                self.read.push_back(frame);
            }
        }
    }

    /// The next frame. A PING is not answered.
    pub(crate) async fn next(&mut self) -> Frame {
        if let Some(frame) = self.read.pop_front() {
            return frame;
        }
        loop {
            if let Some(frame) = self.receive().await {
                return frame;
            }
        }
    }

    /// The next frame that is no PING; those are answered.
    pub(crate) async fn beyond_pings(&mut self) -> Frame {
        loop {
            match self.next().await {
                Frame::Ping(payload) => self.pong(&payload).await,
                frame => return frame,
            }
        }
    }

    /// The next frame is a PING, which is answered.
    pub(crate) async fn expect_ping(&mut self) {
        match self.next().await {
            Frame::Ping(payload) => self.pong(&payload).await,
            frame => panic!("{frame:?} instead of a PING"),
        }
    }

    pub(crate) async fn pong(&mut self, payload: &[u8]) {
        self.write(PING, ACK, 0, payload).await;
    }

    /// The stream of the next request, which has no body yet.
    pub(crate) async fn asked(&mut self) -> u32 {
        match self.next().await {
            Frame::Headers { stream, ends: false } => stream,
            frame => panic!("{frame:?} instead of a request"),
        }
    }

    pub(crate) async fn expect(&mut self, expected: Frame) {
        assert_eq!(self.next().await, expected);
    }

    pub(crate) async fn expect_data(&mut self, stream: u32, expected: &str) {
        let mut read = Vec::new();
        while read.len() < expected.len() {
            match self.next().await {
                Frame::Data { stream: of, bytes, ends: false } if of == stream => read.extend(bytes),
                frame => panic!("{frame:?} instead of {expected:?} on {stream}"),
            }
        }
        assert_eq!(String::from_utf8_lossy(&read), expected);
    }

    /// The head of an answer.
    pub(crate) async fn headers(&mut self, stream: u32, block: &[u8]) {
        self.write(HEADERS, END_HEADERS, stream, block).await;
    }

    /// As many frames as it takes.
    pub(crate) async fn long_headers(&mut self, stream: u32, block: &[u8]) {
        let mut pieces = block.chunks(1 << 14);
        self.write(HEADERS, 0, stream, pieces.next().unwrap()).await;
        for piece in pieces {
            self.write(CONTINUATION, 0, stream, piece).await;
        }
        self.write(CONTINUATION, END_HEADERS, stream, b"").await;
    }

    /// A head without end. How many bytes of it the proxy takes.
    pub(crate) async fn endless_headers(&mut self, stream: u32, start: &[u8], goes_on: &[u8]) -> usize {
        self.write(HEADERS, 0, stream, start).await;
        let frame = frame(CONTINUATION, 0, stream, goes_on);
        let mut sent = start.len();
        while bounded("send", self.stream.write_all(&frame)).await.is_ok() {
            sent += frame.len();
        }
        sent
    }

    /// The same, with nothing behind it.
    pub(crate) async fn last_headers(&mut self, stream: u32, block: &[u8]) {
        self.write(HEADERS, END_HEADERS | END_STREAM, stream, block).await;
    }

    pub(crate) async fn agree(&mut self, stream: u32) {
        self.headers(stream, OK).await;
    }

    pub(crate) async fn data(&mut self, stream: u32, bytes: &str) {
        self.write(DATA, 0, stream, bytes.as_bytes()).await;
    }

    /// As many frames as there are bytes.
    pub(crate) async fn bytewise(&mut self, stream: u32, bytes: usize) {
        let frames = frame(DATA, 0, stream, b"x").repeat(bytes);
        bounded("send", self.stream.write_all(&frames)).await.unwrap();
    }

    pub(crate) async fn finish(&mut self, stream: u32) {
        self.write(DATA, END_STREAM, stream, b"").await;
    }

    pub(crate) async fn reset_stream(&mut self, stream: u32, reason: u32) {
        self.write(RST_STREAM, 0, stream, &reason.to_be_bytes()).await;
    }

    /// Takes leave of what came after the stream `last`.
    pub(crate) async fn leave(&mut self, last: u32) {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat()).await;
    }

    /// Waits until the proxy has taken what was sent.
    pub(crate) async fn settle(&mut self) {
        self.write(PING, 0, 0, &[0; 8]).await;
        self.acknowledgement().await;
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        bounded("send", self.stream.write_all(&frame(kind, flags, stream, payload))).await.unwrap();
        bounded("send", self.stream.flush()).await.unwrap();
    }

    /// One frame, if it is one to be told.
    async fn receive(&mut self) -> Option<Frame> {
        let Some(frame) = RawFrame::read(&mut self.stream).await else { return Some(Frame::End) };
        let (stream, ends) = (frame.stream, frame.has(END_STREAM));
        match frame.kind {
            DATA => Some(Frame::Data { stream, bytes: frame.payload, ends }),
            HEADERS => Some(Frame::Headers { stream, ends }),
            RST_STREAM => Some(Frame::Reset { stream, reason: frame.number(0) }),
            SETTINGS if !frame.has(ACK) => {
                self.write(SETTINGS, ACK, 0, b"").await;
                None
            }
            PING if !frame.has(ACK) => Some(Frame::Ping(frame.payload)),
            SETTINGS | PING => {
                self.acknowledged += 1;
                None
            }
            GOAWAY => Some(Frame::GoAway { reason: frame.number(4) }),
            _ => None,
        }
    }
}
