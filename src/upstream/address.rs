//! How an upstream is reached, and what its pooled connections are known by.

use std::path::PathBuf;

use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// How the upstream is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// Scheme and authority; the path is `/`.
    Uri(Uri),
    Unix(PathBuf),
}

/// The scheme under which the pool keeps connections to unix sockets, their paths in hexadecimal in
/// the place of the host: a URI has no better place for them.
const UNIX_SCHEME: &str = "unix";

impl Address {
    /// The address that a URI of [`Upstream::pool_uri`] stands for.
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

    pub(super) fn unix_pool_key(socket: &str) -> Result<(Scheme, Authority), &'static str> {
        let hex: String = socket.bytes().map(|byte| format!("{byte:02x}")).collect();
        match (Scheme::try_from(UNIX_SCHEME), Authority::try_from(hex)) {
            (Ok(scheme), Ok(authority)) => Ok((scheme, authority)),
            _ => Err("the socket's path is not usable"),
        }
    }
}
