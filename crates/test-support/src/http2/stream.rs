//! Streams of the `h2` crate: both directions as one tunnel, or each for itself.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use h2::{RecvStream, SendStream};
use http::HeaderMap;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::bounded;

/// A tunnel on a stream. A reset of the stream is read as a reset of a connection; dropping the tunnel resets it.
pub struct Stream {
    pub send: SendStream<Bytes>,
    pub receive: RecvStream,
    unread: Bytes,
}

impl Stream {
    pub fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self { send, receive, unread: Bytes::new() }
    }
}

fn io_error(error: h2::Error) -> io::Error {
    if error.is_reset() { io::ErrorKind::ConnectionReset.into() } else { io::Error::other(error) }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        while stream.unread.is_empty() {
            match ready!(stream.receive.poll_data(cx)) {
                Some(data) => stream.unread = data.map_err(io_error)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let data = stream.unread.split_to(buf.remaining().min(stream.unread.len()));
        stream.receive.flow_control().release_capacity(data.len()).map_err(io_error)?;
        buf.put_slice(&data);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(bytes.len());
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(capacity) => drop(capacity.map_err(io_error)?),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = self.send.capacity().min(bytes.len());
        self.send.send_data(Bytes::copy_from_slice(&bytes[..length]), false).map_err(io_error)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(io_error))
    }
}

/// Sends these bytes as the window allows.
pub async fn send(stream: &mut SendStream<Bytes>, bytes: &[u8]) {
    let mut bytes = Bytes::copy_from_slice(bytes);
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        while stream.capacity() == 0 {
            bounded("the window", poll_fn(|cx| stream.poll_capacity(cx))).await.unwrap().unwrap();
        }
        let piece = bytes.split_to(stream.capacity().min(bytes.len()));
        stream.send_data(piece, false).unwrap();
    }
}

/// Sends `END_STREAM`.
pub fn finish(stream: &mut SendStream<Bytes>) {
    stream.send_data(Bytes::new(), true).unwrap();
}

/// Expects these bytes.
pub async fn expect(stream: &mut RecvStream, expected: &str) {
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let data = bounded("data", stream.data()).await.expect("the end came too early").unwrap();
        stream.flow_control().release_capacity(data.len()).unwrap();
        read.extend(data);
    }
    assert_eq!(String::from_utf8_lossy(&read), expected);
}

/// Everything up to the end of the stream, and its trailers.
pub async fn rest(stream: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = bounded("data", stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        bytes.extend(data);
    }
    Ok((bytes, bounded("trailers", stream.trailers()).await?))
}
