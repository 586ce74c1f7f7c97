//! Addresses of upstreams, and their representation as the URIs of pooled connections.

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
    /// Converts a URI made by [`Upstream::pool_uri`](super::Upstream::pool_uri) back to the address.
    pub(crate) fn from_pool_uri(uri: Uri) -> Self {
        let hex = match uri.scheme_str() {
            Some(UNIX_SCHEME) => uri.host().unwrap_or_default(),
            _ => return Self::Uri(uri),
        };
        let byte =
            |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let path: Vec<u8> = hex.as_bytes().chunks(2).filter_map(byte).collect();
        Self::Unix(String::from_utf8_lossy(&path).into_owned().into())
    }

    /// Returns the pool key of a unix socket.
    pub(super) fn unix_pool_key(socket: &str) -> Result<(Scheme, Authority), &'static str> {
        let hex: String = socket.bytes().map(|byte| format!("{byte:02x}")).collect();
        match (Scheme::try_from(UNIX_SCHEME), Authority::try_from(hex)) {
            (Ok(scheme), Ok(authority)) => Ok((scheme, authority)),
            _ => Err("the socket's path is not valid"),
        }
    }
}
