//! Requests and responses as frames.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{
    Frame, FrameConnection,
    frame::{self, CONTINUATION, END_HEADERS, END_STREAM, HEADERS, OK},
};
use crate::wire::bounded;

/// Requests of a client.
impl<S: AsyncRead + AsyncWrite + Unpin> FrameConnection<S> {
    /// Opens a stream with `block` as its header block.
    pub async fn open_stream(&mut self, block: &[u8]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.headers(stream, block).await;
        stream
    }

    /// The status of the response on `stream`.
    pub async fn status(&mut self, stream: u32) -> u16 {
        match self.next_of(stream).await {
            Frame::Headers { status: Some(status), .. } => status,
            frame => panic!("{frame:?} instead of a response"),
        }
    }

    /// Expects these bytes as the next DATA of `stream`, whatever comes on other streams.
    pub async fn expect_of(&mut self, stream: u32, expected: impl AsRef<[u8]>) {
        let (expected, mut read) = (expected.as_ref(), Vec::new());
        while read.len() < expected.len() {
            match self.next_of(stream).await {
                Frame::Data { bytes, .. } => read.extend(bytes),
                frame => panic!("{frame:?} instead of {expected:?}"),
            }
        }
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(expected));
    }
}

/// Responses of an upstream, and the headers of either side.
impl<S: AsyncRead + AsyncWrite + Unpin> FrameConnection<S> {
    /// The stream of the next request, which must not have ended.
    pub async fn next_request(&mut self) -> u32 {
        match self.next().await {
            Frame::Headers { stream, ends: false, .. } => stream,
            frame => panic!("{frame:?} instead of a request"),
        }
    }

    /// The stream of the next request, with or without a body.
    pub async fn next_ordinary_request(&mut self) -> u32 {
        match self.next().await {
            Frame::Headers { stream, .. } => stream,
            frame => panic!("{frame:?} instead of a request"),
        }
    }

    /// Accepts a tunnel: responds with 200 and nothing else.
    pub async fn accept_tunnel(&mut self, stream: u32) {
        self.headers(stream, OK).await;
    }

    pub async fn headers(&mut self, stream: u32, block: &[u8]) {
        self.write(HEADERS, END_HEADERS, stream, block).await;
    }

    /// Sends headers that end the stream.
    pub async fn last_headers(&mut self, stream: u32, block: &[u8]) {
        self.write(HEADERS, END_HEADERS | END_STREAM, stream, block).await;
    }

    /// Sends a header block in as many frames as it needs.
    pub async fn long_headers(&mut self, stream: u32, block: &[u8]) {
        let mut pieces = block.chunks(1 << 14);
        self.write(HEADERS, 0, stream, pieces.next().unwrap()).await;
        for piece in pieces {
            self.write(CONTINUATION, 0, stream, piece).await;
        }
        self.write(CONTINUATION, END_HEADERS, stream, b"").await;
    }

    /// Sends a header block without end. Returns how many bytes of it the proxy accepted.
    pub async fn endless_headers(&mut self, stream: u32, start: &[u8], continued: &[u8]) -> usize {
        self.write(HEADERS, 0, stream, start).await;
        let frame = frame::frame(CONTINUATION, 0, stream, continued);
        let mut sent = start.len();
        while bounded("send", self.stream.write_all(&frame)).await.is_ok() {
            sent += frame.len();
        }
        sent
    }
}
