//! What can be done beyond reading and writing with an end whose type is known.

use std::{any::Any, error::Error, io, task::Context};

use tokio::net::TcpStream;

use super::transport::Transport;

/// Whether a stream in HTTP/2 was reset
/// ([RFC 9113, 5.4.2](https://www.rfc-editor.org/rfc/rfc9113#section-5.4.2)).
pub(crate) fn is_stream_reset(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| comes_of_reset(error))
}

fn comes_of_reset(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<h2::Error>() {
        Some(error) => error.reason().is_some() && !error.is_go_away(),
        None => error.source().is_some_and(comes_of_reset),
    }
}

/// Lets a socket end with a reset when it is dropped. What it has not sent yet is lost. A stream in
/// HTTP/2 ends so by itself, when it is dropped before it has finished.
pub(crate) fn reset_on_drop<T: 'static>(io: &mut T) {
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

/// Takes in what has come on a stream in HTTP/2 although nobody reads it now.
pub(crate) fn buffer_incoming<T: 'static>(io: &mut T, cx: &mut Context<'_>) {
    let io: &mut dyn Any = io;
    if let Some(Transport::Other(other)) = io.downcast_mut() {
        other.buffer_incoming(cx);
    }
}
