//! A reset of one side becomes a reset of the other.

use std::{any::Any, error::Error, io};

use tokio::net::TcpStream;

use crate::connect::transport::Transport;

/// Whether the peer did not finish but tore the connection, or its stream, down: RST in TCP,
/// `RST_STREAM` in HTTP/2 ([RFC 9113, 5.4.2](https://www.rfc-editor.org/rfc/rfc9113#section-5.4.2)).
pub(super) fn is_reset(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
        || error.get_ref().is_some_and(|error| is_stream_reset(error))
}

fn is_stream_reset(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref().is_some_and(h2::Error::is_reset) || error.source().is_some_and(is_stream_reset)
}

/// Lets a socket end with a reset when it is dropped. A stream of HTTP/2 does so by itself.
pub(super) fn reset_on_drop<T: 'static>(io: &mut T) {
    let io: &mut dyn Any = io;
    let socket = match io.downcast_ref::<Transport>() {
        Some(Transport::Tcp(tcp)) => Some(tcp),
        Some(_) => None,
        None => io.downcast_ref::<TcpStream>(),
    };
    if let Some(socket) = socket {
        // Fails only on a socket that is already dead.
        let _ = socket.set_zero_linger();
    }
}
