//! What carries a WebSocket's bytes.

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

/// A connection of its own, or a stream of one that is shared.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Over HTTP/1.1.
    Connection(TcpStream),
    /// Over HTTP/2.
    Stream(http2::Stream),
}

impl Transport {
    /// All of the bytes.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Connection(connection) => connection.write_all(bytes).await,
            Self::Stream(stream) => stream.send(bytes).await,
        }
    }

    /// The end of what is sent.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Connection(connection) => connection.shutdown().await,
            Self::Stream(stream) => stream.finish().await,
        }
    }

    /// What remains to be said when the other side has ended. A connection is closed when it is dropped; a stream
    /// would be reset.
    pub(super) async fn close(self) {
        if let Self::Stream(mut stream) = self {
            let _ = stream.finish().await;
        }
    }

    /// Until there is something to read, or the end.
    pub(super) fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Connection(connection) => connection.poll_read_ready(cx),
            Self::Stream(stream) => stream.poll_read_ready(cx),
        }
    }

    /// One read; of nothing at the end.
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
