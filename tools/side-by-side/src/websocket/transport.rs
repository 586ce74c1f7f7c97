//! Transport of a WebSocket.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

use crate::http2;

/// TCP connection, or stream of an HTTP/2 connection.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Over HTTP/1.1.
    Connection(TcpStream),
    /// Over HTTP/2.
    Stream(http2::Stream),
}

impl Transport {
    /// Sends all bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Connection(connection) => connection.write_all(bytes).await,
            Self::Stream(stream) => stream.send(bytes).await,
        }
    }

    /// Ends the sending side. A stream also waits for the end of the other side.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Connection(connection) => connection.shutdown().await,
            Self::Stream(stream) => stream.finish().await,
        }
    }

    /// Ends a stream after the other side has ended; dropping it would reset it. A connection is closed on drop.
    pub(super) async fn close(self) {
        if let Self::Stream(mut stream) = self {
            let _ = stream.finish().await;
        }
    }

    /// Ready when there are bytes to read, or at the end.
    pub(super) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Connection(connection) => connection.poll_read_ready(cx),
            Self::Stream(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Reads once; nothing at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, free: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Connection(connection) => Pin::new(connection).poll_read(cx, free),
            Self::Stream(stream) => stream.poll_read(cx, free),
        }
    }
}

impl From<TcpStream> for Transport {
    fn from(connection: TcpStream) -> Self {
        Self::Connection(connection)
    }
}

impl From<http2::Stream> for Transport {
    fn from(stream: http2::Stream) -> Self {
        Self::Stream(stream)
    }
}
