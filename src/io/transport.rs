//! One end of a tunnel, whatever it is made of.

use std::{
    any::Any,
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::coalesced::Coalesced;

/// The sockets the proxy knows by type, and everything else behind a pointer.
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    #[cfg(feature = "rustls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// A stream in HTTP/2, a user's connector, an IO that could not be opened.
    Other(Box<dyn AnyIo>),
}

/// What a tunnel needs of its ends.
pub(crate) trait AnyIo: AsyncRead + AsyncWrite + Send + Unpin {
    /// Takes in what has come although nobody reads it now.
    fn buffer_incoming(&mut self, _: &mut Context<'_>) {}
}

impl AnyIo for TcpStream {}

#[cfg(unix)]
impl AnyIo for tokio::net::UnixStream {}

#[cfg(feature = "rustls")]
impl AnyIo for tokio_rustls::client::TlsStream<TcpStream> {}

impl<T: hyper::rt::Read + hyper::rt::Write + Send + Unpin> AnyIo for TokioIo<T> {}

impl<T: AnyIo> AnyIo for Coalesced<T> {
    fn buffer_incoming(&mut self, cx: &mut Context<'_>) {
        self.0.buffer_incoming(cx);
    }
}

impl<T: AnyIo + ?Sized> AnyIo for Box<T> {
    fn buffer_incoming(&mut self, cx: &mut Context<'_>) {
        (**self).buffer_incoming(cx);
    }
}

impl Transport {
    /// Takes a hyper IO, as connectors return it. A `TokioIo<TcpStream>` is opened.
    pub(crate) fn from_hyper<T>(io: T) -> Self
    where
        T: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let mut slot = Some(io);
        let tcp = (&mut slot as &mut dyn Any).downcast_mut::<Option<TokioIo<TcpStream>>>();
        match (tcp.and_then(Option::take), slot) {
            (Some(tcp), _) => Self::Tcp(tcp.into_inner()),
            (None, Some(other)) => Self::Other(Box::new(TokioIo::new(other))),
            (None, None) => unreachable!("an IO that was not taken is still there"),
        }
    }

    /// Takes the client's side out of hyper, with the bytes that hyper had read beyond the request.
    ///
    /// `axum::serve` and hyper-util's auto builder wrap the socket once more than plain hyper does.
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded = match open::<TcpStream>(upgraded) {
            Ok((tcp, early)) => return (Self::Tcp(tcp), early),
            Err(upgraded) => upgraded,
        };
        #[cfg(unix)]
        let upgraded = match open::<tokio::net::UnixStream>(upgraded) {
            Ok((unix, early)) => return (Self::Unix(unix), early),
            Err(upgraded) => upgraded,
        };
        (Self::Other(Box::new(TokioIo::new(upgraded))), Bytes::new())
    }

    /// The same of an HTTP/2 stream, which cannot be opened.
    pub(crate) fn from_stream(upgraded: Upgraded) -> (Self, Bytes) {
        (Self::Other(Box::new(Coalesced(TokioIo::new(upgraded)))), Bytes::new())
    }

    /// Whether HTTP/2 may be spoken: ALPN chose it, or there was no ALPN to ask.
    pub(crate) fn speaks_http2(&self) -> bool {
        match self {
            #[cfg(feature = "rustls")]
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
            _ => true,
        }
    }

    /// Switches Nagle's algorithm off: a relay must not hold a small message back.
    pub(crate) fn set_nodelay(&self) {
        if let Self::Tcp(tcp) = self {
            // Fails only on a socket that is already dead, which the tunnel will notice itself.
            let _ = tcp.set_nodelay(true);
        }
    }

    fn io(self: Pin<&mut Self>) -> Pin<&mut dyn AnyIo> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix),
            #[cfg(feature = "rustls")]
            Self::Tls(tls) => Pin::new(tls),
            Self::Other(other) => Pin::new(other),
        }
    }
}

/// The socket of type `T` inside, or `upgraded` as it was.
fn open<T: AsyncRead + AsyncWrite + Unpin + 'static>(upgraded: Upgraded) -> Result<(T, Bytes), Upgraded> {
    match auto::upgrade::downcast::<TokioIo<T>>(upgraded) {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => {
            upgraded.downcast::<TokioIo<T>>().map(|parts| (parts.io.into_inner(), parts.read_buf))
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Transport::Tcp",
            #[cfg(unix)]
            Self::Unix(_) => "Transport::Unix",
            #[cfg(feature = "rustls")]
            Self::Tls(_) => "Transport::Tls",
            Self::Other(_) => "Transport::Other",
        })
    }
}

impl Connection for Transport {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io().poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.io().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            #[cfg(unix)]
            Self::Unix(unix) => unix.is_write_vectored(),
            #[cfg(feature = "rustls")]
            Self::Tls(tls) => tls.is_write_vectored(),
            Self::Other(other) => other.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn tcp() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()
    }

    #[cfg_attr(miri, ignore = "opens sockets")]
    #[tokio::test]
    async fn a_connectors_socket_is_opened_and_anything_else_is_boxed() {
        let socket = Transport::from_hyper(TokioIo::new(tcp().await));
        assert!(matches!(socket, Transport::Tcp(_)), "{socket:?}");
        let other = Transport::from_hyper(TokioIo::new(tokio::io::duplex(1).0));
        assert!(matches!(other, Transport::Other(_)), "{other:?}");
    }

    #[cfg_attr(miri, ignore = "opens sockets")]
    #[tokio::test]
    async fn nagle_is_switched_off() {
        let socket = Transport::Tcp(tcp().await);
        socket.set_nodelay();
        assert!(matches!(socket, Transport::Tcp(tcp) if tcp.nodelay().unwrap()));
    }
}
