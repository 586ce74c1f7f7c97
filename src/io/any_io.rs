//! [`AnyIo`], operations of a connection beyond reading and writing.

use std::{any::Any, error::Error, io, task::Context};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::transport::Transport;

/// A connection of a tunnel. Both operations have an effect only on the types that override them.
pub(crate) trait AnyIo: AsyncRead + AsyncWrite + Send + Unpin {
    /// Moves bytes that have arrived into memory, at a time when they are not read.
    fn buffer_incoming(&mut self, _: &mut Context<'_>) {}

    /// Makes a socket end with a reset when it is dropped, and lose what it has not sent. A stream in HTTP/2
    /// does that without this call, if it is dropped before it has finished.
    fn reset_on_drop(&mut self) {}
}

/// Returns `io` as [`AnyIo`] if it is a [`Transport`] or a socket. [`Tunnel`](crate::Tunnel) also accepts streams of
/// other types, which have no operations of this kind.
pub(crate) fn as_any_io<T: 'static>(io: &mut T) -> Option<&mut dyn AnyIo> {
    let io: &mut dyn Any = io;
    if io.is::<Transport>() {
        io.downcast_mut::<Transport>().map(|transport| transport as _)
    } else {
        io.downcast_mut::<TcpStream>().map(|socket| socket as _)
    }
}

impl AnyIo for TcpStream {
    fn reset_on_drop(&mut self) {
        // Fails only on a socket that is already closed.
        let _ = self.set_zero_linger();
    }
}

#[cfg(unix)]
impl AnyIo for tokio::net::UnixStream {}

#[cfg(feature = "rustls")]
impl AnyIo for tokio_rustls::client::TlsStream<TcpStream> {}

impl<T: hyper::rt::Read + hyper::rt::Write + Send + Unpin> AnyIo for TokioIo<T> {}

/// Returns true if `error` is the reset of a stream in HTTP/2
/// ([RFC 9113, 5.4.2](https://www.rfc-editor.org/rfc/rfc9113#section-5.4.2)).
pub(crate) fn is_stream_reset(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| has_reset_cause(error))
}

fn has_reset_cause(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<h2::Error>() {
        Some(error) => error.reason().is_some() && !error.is_go_away(),
        None => error.source().is_some_and(has_reset_cause),
    }
}
