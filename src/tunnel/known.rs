//! What can be done beyond reading and writing with an end whose type is known.

use std::{any::Any, error::Error, io, task::Context};

use h2::Reason;
use tokio::net::TcpStream;

use crate::connect::transport::Transport;

/// Whether a stream in HTTP/2 was torn down with an error code
/// ([RFC 9113, 7](https://www.rfc-editor.org/rfc/rfc9113#section-7)).
///
/// `CANCEL` is not taken for one: servers send it right behind an end, to say that they want no more.
pub(super) fn is_stream_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| has_code(error))
}

fn has_code(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<h2::Error>() {
        Some(error) => {
            !error.is_go_away()
                && error.reason().is_some_and(|code| !matches!(code, Reason::CANCEL | Reason::NO_ERROR))
        }
        None => error.source().is_some_and(has_code),
    }
}

/// Lets a socket end with a reset when it is dropped. What it has not sent yet is lost. A stream in
/// HTTP/2 ends so by itself, when it is dropped before it has finished.
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

/// Takes in what has come on a stream in HTTP/2 although nobody reads it now.
pub(super) fn take_in<T: 'static>(io: &mut T, cx: &mut Context<'_>) {
    let io: &mut dyn Any = io;
    if let Some(Transport::Http2(stream)) = io.downcast_mut() {
        stream.take_in(cx);
    }
}
