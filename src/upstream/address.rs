//! Addresses of upstreams, and the keys of their pooled connections.

use std::path::PathBuf;

use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// Address of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// Scheme and authority; the path is `/`.
    Uri(Uri),
    Unix(PathBuf),
}

/// Scheme of the pool keys of unix sockets. The host of such a key is the socket's path in hexadecimal, as a
/// path has no other place in a URI's authority.
const UNIX_SCHEME: &str = "unix";

impl Address {
    /// Returns the pool key of a unix socket.
    pub(super) fn unix_pool_key(socket: &str) -> Result<(Scheme, Authority), &'static str> {
        let hex: String = socket.bytes().map(|byte| format!("{byte:02x}")).collect();
        match (Scheme::try_from(UNIX_SCHEME), Authority::try_from(hex)) {
            (Ok(scheme), Ok(authority)) => Ok((scheme, authority)),
            _ => Err("the socket's path is not valid"),
        }
    }
}
