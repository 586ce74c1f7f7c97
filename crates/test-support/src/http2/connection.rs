//! A connection as frames.

use std::{collections::VecDeque, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::frame::{
    self, ACK, DATA, END_STREAM, GOAWAY, HEADERS, NO_ERROR, PING, PREFACE, RST_STREAM, RawFrame, SETTINGS,
};
use crate::{upstream::ScriptedUpstream, wire::bounded};

/// A received frame. SETTINGS, `WINDOW_UPDATE` and acknowledgements are not reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The status is that of a response, if [`frame::status`] can decode it.
    Headers {
        stream: u32,
        status: Option<u16>,
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
    /// Reported on connections of upstreams only; those of clients respond to it.
    Ping(Vec<u8>),
    /// End of the connection, a reset included.
    End,
}

impl Frame {
    /// The frame's stream; `None` for frames of the connection.
    pub fn stream(&self) -> Option<u32> {
        match self {
            Self::Headers { stream, .. } | Self::Data { stream, .. } | Self::Reset { stream, .. } => {
                Some(*stream)
            }
            Self::GoAway { .. } | Self::Ping(_) | Self::End => None,
        }
    }
}

/// A connection to the proxy, or from it.
pub struct FrameConnection<S = TcpStream> {
    pub stream: S,
    is_client: bool,
    /// Received while waiting for another frame.
    read: VecDeque<Frame>,
    acknowledged: usize,
    pub(super) next_stream: u32,
}

/// Ends of a socket.
impl FrameConnection {
    /// Connects as a client, with SETTINGS that set nothing.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = bounded("connect", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut connection = Self::new(stream, true);
        bounded("send", connection.stream.write_all(PREFACE)).await.unwrap();
        connection.write(SETTINGS, 0, 0, b"").await;
        connection
    }

    /// Accepts the upstream's next connection and sends these SETTINGS.
    pub async fn accept(upstream: &ScriptedUpstream, settings: &[(u16, u32)]) -> Self {
        let mut connection = Self::accept_without_settings(upstream).await;
        connection.settings(settings).await;
        connection
    }

    /// Accepts the upstream's next connection and sends nothing.
    pub async fn accept_without_settings(upstream: &ScriptedUpstream) -> Self {
        Self::accept_on(upstream.accept().await.stream).await
    }

    /// Closes with a reset of the socket.
    pub fn reset_connection(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> FrameConnection<S> {
    fn new(stream: S, is_client: bool) -> Self {
        Self { stream, is_client, read: VecDeque::new(), acknowledged: 0, next_stream: 1 }
    }

    /// The upstream's end of `stream`, after the client's preface; nothing has been sent.
    pub async fn accept_on(mut stream: S) -> Self {
        let mut preface = [0; PREFACE.len()];
        bounded("the preface", stream.read_exact(&mut preface)).await.unwrap();
        assert_eq!(preface, PREFACE);
        Self::new(stream, false)
    }

    /// Sends SETTINGS and waits until they are acknowledged.
    pub async fn settings(&mut self, settings: &[(u16, u32)]) {
        self.write(SETTINGS, 0, 0, &frame::settings(settings)).await;
        self.acknowledgement().await;
    }

    /// Waits until the proxy has processed everything sent so far.
    pub async fn settle(&mut self) {
        self.write(PING, 0, 0, &[0; 8]).await;
        self.acknowledgement().await;
    }

    /// Waits for the acknowledgement of SETTINGS or a PING, and keeps the frames before it.
    async fn acknowledgement(&mut self) {
        let before = self.acknowledged;
        while self.acknowledged == before {
            if let Some(frame) = self.receive().await {
                assert_ne!(frame, Frame::End, "instead of the acknowledgement");
                self.read.push_back(frame);
            }
        }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Frame {
        if let Some(frame) = self.read.pop_front() {
            return frame;
        }
        loop {
            if let Some(frame) = self.receive().await {
                return frame;
            }
        }
    }

    /// The next frame of `stream` or of the connection; frames of other streams are dropped.
    pub async fn next_of(&mut self, stream: u32) -> Frame {
        loop {
            let frame = self.next().await;
            if frame.stream().is_none_or(|of| of == stream) {
                return frame;
            }
        }
    }

    /// The next frame other than PING, with a response to every PING before it.
    pub async fn next_after_pings(&mut self) -> Frame {
        loop {
            match self.next().await {
                Frame::Ping(payload) => self.pong(&payload).await,
                frame => return frame,
            }
        }
    }

    pub async fn expect(&mut self, expected: Frame) {
        assert_eq!(self.next().await, expected);
    }

    /// Expects a PING and responds to it.
    pub async fn expect_ping(&mut self) {
        match self.next().await {
            Frame::Ping(payload) => self.pong(&payload).await,
            frame => panic!("{frame:?} instead of a PING"),
        }
    }

    /// Expects DATA with these bytes on `stream`, in any number of frames, and no `END_STREAM`.
    pub async fn expect_data(&mut self, stream: u32, expected: impl AsRef<[u8]>) {
        let (expected, mut read) = (String::from_utf8_lossy(expected.as_ref()), Vec::new());
        while read.len() < expected.len() {
            match self.next().await {
                Frame::Data { stream: of, bytes, ends: false } if of == stream => read.extend(bytes),
                frame => panic!("{frame:?} instead of {expected:?} on {stream}"),
            }
        }
        assert_eq!(String::from_utf8_lossy(&read), expected);
    }

    pub async fn pong(&mut self, payload: &[u8]) {
        self.write(PING, ACK, 0, payload).await;
    }

    pub async fn data(&mut self, stream: u32, bytes: impl AsRef<[u8]>) {
        self.write(DATA, 0, stream, bytes.as_ref()).await;
    }

    /// Sends as many frames of one byte each.
    pub async fn data_bytewise(&mut self, stream: u32, bytes: usize) {
        let frames = frame::frame(DATA, 0, stream, b"x").repeat(bytes);
        bounded("send", self.stream.write_all(&frames)).await.unwrap();
    }

    /// Ends the stream in this direction.
    pub async fn finish(&mut self, stream: u32) {
        self.write(DATA, END_STREAM, stream, b"").await;
    }

    pub async fn reset_stream(&mut self, stream: u32, reason: u32) {
        self.write(RST_STREAM, 0, stream, &reason.to_be_bytes()).await;
    }

    /// Sends GOAWAY: streams after `last` are not processed.
    pub async fn goaway(&mut self, last: u32) {
        self.write(GOAWAY, 0, 0, &[last.to_be_bytes(), NO_ERROR.to_be_bytes()].concat()).await;
    }

    pub(super) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        bounded("send", self.stream.write_all(&frame::frame(kind, flags, stream, payload))).await.unwrap();
        bounded("send", self.stream.flush()).await.unwrap();
    }

    /// Reads one frame; `None` if it is not reported.
    async fn receive(&mut self) -> Option<Frame> {
        let Some(frame) = RawFrame::read(&mut self.stream).await else { return Some(Frame::End) };
        let (stream, ends) = (frame.stream, frame.has(END_STREAM));
        match frame.kind {
            DATA => Some(Frame::Data { stream, bytes: frame.payload, ends }),
            HEADERS => Some(Frame::Headers { stream, status: frame::status(&frame.payload), ends }),
            RST_STREAM => Some(Frame::Reset { stream, reason: frame.number(0) }),
            GOAWAY => Some(Frame::GoAway { reason: frame.number(4) }),
            SETTINGS | PING if frame.has(ACK) => {
                self.acknowledged += 1;
                None
            }
            SETTINGS => {
                self.write(SETTINGS, ACK, 0, b"").await;
                None
            }
            PING if self.is_client => {
                self.pong(&frame.payload).await;
                None
            }
            PING => Some(Frame::Ping(frame.payload)),
            _ => None,
        }
    }
}
