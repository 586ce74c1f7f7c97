//! [`Key`]: the part of a request that decides on its endpoint.

use std::{fmt, hash::Hasher, net::IpAddr, sync::Arc};

use http::{HeaderName, header::COOKIE, request::Parts};
use siphasher::sip::SipHasher13;

use super::cookie::pairs;
use crate::received::original_uri;

/// The part of a request by which [`Balance::rendezvous`](crate::Balance::rendezvous) chooses: requests with the same key go to
/// the same endpoint.
///
/// Requests without the part (no such field, an unknown address) go to the endpoint with the fewest tunnels.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Part);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Client,
    Header(HeaderName),
    Cookie(Arc<str>),
    Query(Arc<str>),
    PathSegment(usize),
    Path,
}

impl Key {
    /// The client's address, as in [`TunnelInfo::client`](crate::TunnelInfo::client). Clients behind one NAT have one address.
    #[must_use]
    pub fn client_ip() -> Self {
        Self(Part::Client)
    }

    /// The first value of a field, for example of a user or a session that middleware has set.
    #[must_use]
    pub fn header(name: HeaderName) -> Self {
        Self(Part::Header(name))
    }

    /// The value of a cookie.
    #[must_use]
    pub fn cookie(name: impl Into<Arc<str>>) -> Self {
        Self(Part::Cookie(name.into()))
    }

    /// The value of a parameter of the query, as it is sent: `room` of `/ws?room=7`.
    #[must_use]
    pub fn query(name: impl Into<Arc<str>>) -> Self {
        Self(Part::Query(name.into()))
    }

    /// A segment of the path that the client sent, as it is sent. The first is 0: `7` is segment 2 of `/ws/room/7`.
    #[must_use]
    pub fn path_segment(index: usize) -> Self {
        Self(Part::PathSegment(index))
    }

    /// The path that the client sent, without the query.
    #[must_use]
    pub fn path() -> Self {
        Self(Part::Path)
    }

    /// Returns the hash of the key, which is the same in all processes and versions.
    pub(super) fn hash(&self, parts: &Parts, client: Option<IpAddr>) -> Option<u64> {
        let uri = || original_uri(&parts.uri, &parts.extensions);
        match &self.0 {
            Part::Client => client.map(|client| hash_of(client.to_canonical().to_string())),
            Part::Header(name) => parts.headers.get(name).map(|value| hash_of(value.as_bytes())),
            Part::Cookie(name) => cookie(parts, name).map(hash_of),
            Part::Query(name) => {
                let pairs = uri().query()?.split('&');
                pairs
                    .filter_map(|pair| pair.split_once('='))
                    .find(|(key, _)| key == &&**name)
                    .map(|(_, value)| hash_of(value))
            }
            Part::PathSegment(index) => uri()
                .path()
                .trim_start_matches('/')
                .split('/')
                .nth(*index)
                .filter(|segment| !segment.is_empty())
                .map(hash_of),
            Part::Path => Some(hash_of(uri().path())),
        }
    }
}

/// Returns the value of the first cookie of this name. Lines that are not visible ASCII are skipped.
fn cookie<'a>(parts: &'a Parts, name: &str) -> Option<&'a [u8]> {
    let lines = parts.headers.get_all(COOKIE).into_iter().filter(|line| line.to_str().is_ok());
    lines.flat_map(pairs).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn hash_of(bytes: impl AsRef<[u8]>) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes.as_ref());
    hasher.finish()
}

/// Returns the hash of a key and an endpoint's id.
pub(super) fn hash_with(key: u64, id: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&key.to_le_bytes());
    hasher.write(id.as_bytes());
    hasher.finish()
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_key_is_the_part_of_the_request() {
        let (parts, ()) = Request::get("/ws/room/7?a=1&room=x%20y&room=2")
            .header("x-user", "eve")
            .header("cookie", "other=1; session=abc")
            .header("cookie", "session=late")
            .body(())
            .unwrap()
            .into_parts();
        let client = Some("::ffff:192.0.2.1".parse().unwrap());
        let table = [
            (Key::client_ip(), Some("192.0.2.1")),
            (Key::header(HeaderName::from_static("x-user")), Some("eve")),
            (Key::header(HeaderName::from_static("x-other")), None),
            (Key::cookie("session"), Some("abc")),
            (Key::cookie("sess"), None),
            (Key::query("room"), Some("x%20y")),
            (Key::query("b"), None),
            (Key::path_segment(0), Some("ws")),
            (Key::path_segment(2), Some("7")),
            (Key::path_segment(3), None),
            (Key::path(), Some("/ws/room/7")),
        ];
        for (key, text) in table {
            assert_eq!(key.hash(&parts, client), text.map(hash_of), "{key:?}");
        }
        assert_eq!(Key::client_ip().hash(&parts, None), None);
    }

    #[test]
    fn hashes_never_change() {
        // Replicas of different versions must choose the same endpoint.
        assert_eq!(hash_of("room"), 18_002_013_579_405_795_960);
        assert_eq!(hash_with(1, "http://a"), 16_750_688_992_108_861_874);
    }
}
