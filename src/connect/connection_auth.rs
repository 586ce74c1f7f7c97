//! Authentication that holds for a connection, not for a request: NTLM and Negotiate.

use std::sync::{Arc, Weak};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, PROXY_AUTHENTICATE, WWW_AUTHENTICATE},
};

/// Policy for upstream connections with connection-based authentication, NTLM or Negotiate
/// ([RFC 4559, 6](https://www.rfc-editor.org/rfc/rfc4559#section-6)).
///
/// A server with such authentication takes every later request on the connection for one of the same user. If the
/// connection were reused for other clients, they would get that user's pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionAuth {
    /// After a request with `Authorization`, or a response with `WWW-Authenticate`, that names such a scheme, the
    /// upstream connection is used for no other client. It is kept for the [`ClientConnection`] of the request; without
    /// one it is closed after the response, and the authentication cannot be completed.
    #[default]
    Private,
    /// Such connections are reused for all clients. Safe only if no upstream authenticates connections.
    Shared,
}

/// The connection on which a request was received, as an extension of the request.
///
/// NTLM needs one connection to the upstream for all messages of its handshake, and for the requests after it. A server
/// makes one value for each connection that it accepts, and inserts a clone into each request:
///
/// ```
/// # use tower_upgrade_proxy::ClientConnection;
/// # fn request<B>(request: &mut http::Request<B>, connection: &ClientConnection) {
/// request.extensions_mut().insert(connection.clone());
/// # }
/// ```
///
/// The upstream connections of a value are closed when its last clone has been dropped. A connection from another
/// proxy, which carries requests of many users, must have none.
#[derive(Clone, Debug, Default)]
pub struct ClientConnection(Arc<()>);

/// A reference to a [`ClientConnection`] that does not keep it alive.
#[derive(Clone, Debug)]
pub(crate) struct ClientConnectionId(Weak<()>);

impl ClientConnection {
    /// Returns the value for a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn id(&self) -> ClientConnectionId {
        ClientConnectionId(Arc::downgrade(&self.0))
    }
}

impl ClientConnectionId {
    pub(crate) fn is(&self, connection: &ClientConnection) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&connection.0))
    }

    /// Returns true if the connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl ConnectionAuth {
    /// Returns true if a request with these fields authenticates its connection.
    pub(crate) fn is_in_request(self, headers: &HeaderMap) -> bool {
        self == Self::Private && names_scheme(headers, &AUTHORIZATION)
    }

    /// Returns true if a response with these fields begins, continues or confirms the authentication of its connection.
    pub(crate) fn is_in_response(self, headers: &HeaderMap) -> bool {
        /// Sent by IIS ([MS-NTHT], 2.2.3).
        const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");
        let names = [&WWW_AUTHENTICATE, &PROXY_AUTHENTICATE];
        self == Self::Private
            && (headers.contains_key(PERSISTENT_AUTH)
                || names.into_iter().any(|name| names_scheme(headers, name)))
    }
}

/// Returns true if a line of the field has an element that begins with one of the schemes. Commas in quotes are taken
/// for separators: at worst a connection is not reused.
fn names_scheme(headers: &HeaderMap, name: &HeaderName) -> bool {
    const SCHEMES: [&[u8]; 4] = [b"ntlm", b"negotiate", b"nego2", b"kerberos"];
    let is_scheme = |element: &[u8]| {
        let word = element.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
    };
    let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b',')).any(is_scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_found_in_any_case_place_and_line() {
        let table: &[(&[&str], bool)] = &[
            (&["NTLM"], true),
            (&["ntlm TlRMTVNTUAAB"], true),
            (&["Negotiate"], true),
            (&["Negotiate oYIB=="], true),
            (&["NEGOTIATE\tabc"], true),
            (&["Kerberos"], true),
            (&["Basic realm=\"a\"", "NTLM"], true),
            (&["Basic realm=\"a\", Digest nonce=\"x\", negotiate"], true),
            (&["Basic realm=\"a,NTLM"], true),
            (&[",,  NTLM , Basic realm=\"a\""], true),
            (&[], false),
            (&[""], false),
            (&["Basic realm=\"NTLM\""], false),
            (&["Bearer ntlm"], false),
            (&["Digest negotiate=1"], false),
            (&["NTLMv9"], false),
        ];
        for (lines, expected) in table {
            for name in [WWW_AUTHENTICATE, AUTHORIZATION] {
                let mut headers = HeaderMap::new();
                for line in *lines {
                    headers.append(&name, line.parse().unwrap());
                }
                let (policy, is_request) = (ConnectionAuth::Private, name == AUTHORIZATION);
                assert_eq!(policy.is_in_request(&headers), *expected && is_request, "{lines:?}");
                assert_eq!(policy.is_in_response(&headers), *expected && !is_request, "{lines:?}");
                assert!(!ConnectionAuth::Shared.is_in_request(&headers));
                assert!(!ConnectionAuth::Shared.is_in_response(&headers));
            }
        }
    }

    #[test]
    fn a_connection_is_itself_until_it_has_ended() {
        let (one, two) = (ClientConnection::new(), ClientConnection::new());
        let id = one.id();
        assert!(id.is(&one) && id.is(&one.clone()) && !id.is(&two) && !id.has_ended());
        drop(one);
        assert!(id.has_ended() && !id.is(&two));
    }
}
