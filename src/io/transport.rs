//! [`Transport`], a connection to a client or to an upstream.

use std::{
    any::Any,
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{any_io::AnyIo, coalesced::Coalesced, send_timeout::SendTimeout};

/// A connection: a socket of a known type, or any other IO behind a pointer.
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    #[cfg(feature = "rustls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// A stream in HTTP/2, the IO of a user's connector, or an IO that could not be unwrapped.
    Other(Box<dyn AnyIo>),
}

impl AnyIo for Transport {
    fn buffer_incoming(&mut self, cx: &mut Context<'_>) {
        self.io().buffer_incoming(cx);
    }

    fn reset_on_drop(&mut self) {
        self.io().reset_on_drop();
    }
}

impl Transport {
    /// Takes a hyper IO, as connectors return it. The socket in a `TokioIo<TcpStream>` is unwrapped.
    pub(crate) fn from_hyper<T>(io: T) -> Self
    where
        T: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let mut slot = Some(io);
        let tcp = (&mut slot as &mut dyn Any).downcast_mut::<Option<TokioIo<TcpStream>>>();
        match (tcp.and_then(Option::take), slot) {
            (Some(tcp), _) => Self::Tcp(tcp.into_inner()),
            (None, Some(other)) => Self::Other(Box::new(TokioIo::new(other))),
            (None, None) => unreachable!("the IO is either taken or left"),
        }
    }

    /// Takes the client's connection out of hyper, with the bytes that hyper has read after the request.
    ///
    /// `axum::serve` and hyper-util's auto builder wrap the socket once more than plain hyper does.
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded = match unwrap::<TcpStream>(upgraded) {
            Ok((tcp, early)) => return (Self::Tcp(tcp), early),
            Err(upgraded) => upgraded,
        };
        #[cfg(unix)]
        let upgraded = match unwrap::<tokio::net::UnixStream>(upgraded) {
            Ok((unix, early)) => return (Self::Unix(unix), early),
            Err(upgraded) => upgraded,
        };
        (Self::Other(Box::new(TokioIo::new(upgraded))), Bytes::new())
    }

    /// Takes the client's stream in HTTP/2, which cannot be unwrapped.
    pub(crate) fn from_stream(upgraded: Upgraded) -> (Self, Bytes) {
        (Self::Other(Box::new(Coalesced(TokioIo::new(upgraded)))), Bytes::new())
    }

    /// Returns true if the connection can carry HTTP/2: ALPN selected it, or there was no ALPN.
    pub(crate) fn speaks_http2(&self) -> bool {
        match self {
            #[cfg(feature = "rustls")]
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
            _ => true,
        }
    }

    /// Switches Nagle's algorithm off, which would delay small messages.
    pub(crate) fn set_nodelay(&self) {
        if let Self::Tcp(tcp) = self {
            // Fails only on a socket that is already closed, which the tunnel detects itself.
            let _ = tcp.set_nodelay(true);
        }
    }

    fn io(&mut self) -> &mut dyn AnyIo {
        match self {
            Self::Tcp(tcp) => tcp,
            #[cfg(unix)]
            Self::Unix(unix) => unix,
            #[cfg(feature = "rustls")]
            Self::Tls(tls) => &mut **tls,
            Self::Other(other) => &mut **other,
        }
    }
}

/// Returns the socket of type `T` inside, without its send timeout, or `upgraded` unchanged.
fn unwrap<T: AsyncRead + AsyncWrite + Unpin + 'static>(upgraded: Upgraded) -> Result<(T, Bytes), Upgraded> {
    match downcast::<T>(upgraded) {
        Ok(socket) => Ok(socket),
        Err(upgraded) => downcast::<SendTimeout<T>>(upgraded).map(|(io, early)| (io.into_inner(), early)),
    }
}

/// Returns the IO of type `T` inside, or `upgraded` unchanged.
fn downcast<T: AsyncRead + AsyncWrite + Unpin + 'static>(upgraded: Upgraded) -> Result<(T, Bytes), Upgraded> {
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

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(self.io()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.io()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.io()).poll_write_vectored(cx, slices)
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io()).poll_shutdown(cx)
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
    async fn a_connectors_socket_is_unwrapped_and_any_other_io_is_boxed() {
        let socket = Transport::from_hyper(TokioIo::new(tcp().await));
        assert!(matches!(socket, Transport::Tcp(_)), "{socket:?}");
        let other = Transport::from_hyper(TokioIo::new(tokio::io::duplex(1).0));
        assert!(matches!(other, Transport::Other(_)), "{other:?}");
    }

    #[cfg_attr(miri, ignore = "opens sockets")]
    #[tokio::test]
    async fn set_nodelay_switches_nagle_off() {
        let socket = Transport::Tcp(tcp().await);
        socket.set_nodelay();
        assert!(matches!(socket, Transport::Tcp(tcp) if tcp.nodelay().unwrap()));
    }
}
