//! Causes that determine the kind of an error.

use std::{error::Error, fmt, io};

use super::BoxError;

/// Error: the connect timeout has expired.
#[derive(Debug)]
pub(crate) struct ConnectTimeout;

impl fmt::Display for ConnectTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl Error for ConnectTimeout {}

/// Error: each local port is in use for a connection to the destination.
#[derive(Debug)]
pub(crate) struct NoLocalPort;

impl fmt::Display for NoLocalPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no local port is free")
    }
}

impl Error for NoLocalPort {}

/// Error: all HTTP/2 connections were full until the connect timeout expired.
#[derive(Debug)]
pub(crate) struct NoStreamFree;

impl fmt::Display for NoStreamFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("all its HTTP/2 connections are full")
    }
}

impl Error for NoStreamFree {}

/// Error: the client's body is incomplete or malformed. It is not a failure of the upstream.
#[derive(Debug)]
pub(crate) struct ClientBody(BoxError);

impl ClientBody {
    pub(crate) fn boxed(error: impl Into<BoxError>) -> BoxError {
        Self(error.into()).into()
    }
}

impl fmt::Display for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body")
    }
}

impl Error for ClientBody {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Error: the limit on interim responses is exceeded.
#[derive(Debug)]
pub(crate) struct TooManyInterim;

impl fmt::Display for TooManyInterim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many interim responses")
    }
}

impl Error for TooManyInterim {}

/// Returns true if `error` is a `T` or has one among its causes.
pub(super) fn caused_by<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    // The source of an IO error is that of the error inside.
    let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<T>()
        || inside.is_some_and(<dyn Error + Send + Sync>::is::<T>)
        || error.source().is_some_and(caused_by::<T>)
}

/// Returns true if the process (`EMFILE`) or the system (`ENFILE`) could not open another file or socket.
pub(super) fn is_out_of_descriptors(error: &(dyn Error + 'static)) -> bool {
    /// The same numbers on every Unix; `WSAEMFILE` on Windows.
    const CODES: &[i32] = if cfg!(windows) { &[10_024] } else { &[23, 24] };
    let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    code.is_some_and(|code| CODES.contains(&code)) || error.source().is_some_and(is_out_of_descriptors)
}
