//! [`Protocols`]: the protocols that are allowed.

use std::{borrow::Cow, error::Error as StdError, fmt};

use http::{HeaderName, HeaderValue, Method};

/// Returns true if an upgrade token names WebSocket
/// ([RFC 6455, 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
pub(crate) fn is_websocket(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(b"websocket")
}

/// Allow-list of upgrade protocols. Requests for other protocols go to the inner service.
///
/// ```
/// use http::Method;
/// use tower_upgrade_proxy::{Protocol, Protocols};
///
/// // Docker's API: POST /exec/ID/start with `Upgrade: tcp` and a JSON body; kubectl's SPDY.
/// let protocols = Protocols::websocket()
///     .allow(Protocol::new("tcp")?.methods([Method::POST]).with_request_body())
///     .allow(Protocol::new("SPDY/3.1")?);
/// # Ok::<(), tower_upgrade_proxy::InvalidProtocol>(())
/// ```
#[derive(Clone, Debug)]
pub struct Protocols {
    allowed: Vec<Protocol>,
    any: bool,
}

impl Protocols {
    /// Allows WebSocket only: `GET`, no body. The default.
    #[must_use]
    pub fn websocket() -> Self {
        Self { allowed: vec![Protocol::websocket()], any: false }
    }

    /// Allows this protocol only, not even WebSocket.
    #[must_use]
    pub fn only(protocol: Protocol) -> Self {
        Self { allowed: vec![protocol], any: false }
    }

    /// Allows every protocol, with any method and with a request body; WebSocket with `GET` and no body.
    ///
    /// Versions of HTTP remain excluded (`h2c`, `h2`, `h3`, `HTTP/...`): requests within such a tunnel would
    /// bypass every check in front of the upstream.
    #[must_use]
    pub fn any() -> Self {
        Self { any: true, ..Self::websocket() }
    }

    /// Adds a protocol, or replaces the one with the same name.
    #[must_use]
    pub fn allow(mut self, protocol: Protocol) -> Self {
        self.allowed.retain(|allowed| !allowed.is_named(protocol.name.as_bytes()));
        self.allowed.push(protocol);
        self
    }

    /// Returns the protocol named by `token`, if it is allowed.
    pub(crate) fn find(&self, token: &[u8]) -> Option<Cow<'_, Protocol>> {
        match self.allowed.iter().find(|protocol| protocol.is_named(token)) {
            Some(allowed) => Some(Cow::Borrowed(allowed)),
            // Copied, as a slice of the received value would keep the connection's read buffer alive.
            None if self.any => {
                let protocol = Protocol::parse(std::str::from_utf8(token).ok()?).ok()?;
                Some(Cow::Owned(protocol.with_request_body()))
            }
            None => None,
        }
    }
}

impl Default for Protocols {
    fn default() -> Self {
        Self::websocket()
    }
}

/// An upgrade protocol, with the methods and bodies its handshake may have.
#[derive(Clone, Debug)]
pub struct Protocol {
    name: HeaderValue,
    /// Empty for any method.
    methods: Vec<Method>,
    allows_body: bool,
}

impl Protocol {
    /// Creates a protocol from its name in `Upgrade`, with or without a version
    /// ([RFC 9110, 7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)). Names are case-insensitive.
    /// Default any method (`GET` only for `websocket`), no request body.
    ///
    /// # Errors
    ///
    /// If `name` is not a protocol name, or is a version of HTTP (`h2c`, `h2`, `h3`, `HTTP/...`), which is
    /// never passed on.
    pub fn new(name: &str) -> Result<Self, InvalidProtocol> {
        Self::parse(name).map_err(|reason| InvalidProtocol { name: name.to_owned(), reason })
    }

    fn parse(name: &str) -> Result<Self, &'static str> {
        if is_websocket(name.as_bytes()) {
            return Ok(Self::websocket());
        }
        let (base, version) = name.split_once('/').unwrap_or((name, "1"));
        let is_http = ["h2c", "h2", "h3", "http"].iter().any(|http| base.eq_ignore_ascii_case(http));
        if is_http {
            return Err("HTTP inside HTTP is never tunnelled");
        }
        // Field names and protocol names are both tokens.
        let is_token = |text: &str| HeaderName::from_bytes(text.as_bytes()).is_ok();
        match HeaderValue::from_str(name) {
            Ok(value) if is_token(base) && is_token(version) => {
                Ok(Self { name: value, methods: Vec::new(), allows_body: false })
            }
            _ => Err("the name is not a token"),
        }
    }

    fn websocket() -> Self {
        Self { name: HeaderValue::from_static("websocket"), methods: vec![Method::GET], allows_body: false }
    }

    /// Allows only these methods; requests with other methods go to the inner service. An empty list allows
    /// any method. WebSocket always requires `GET`.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        if !is_websocket(self.name.as_bytes()) {
            self.methods = methods.into_iter().collect();
        }
        self
    }

    /// Allows a request body. It is sent to the upstream within the handshake timeout, before the response is
    /// awaited. Default off: a handshake with a body gets a 400. WebSocket never allows a body.
    #[must_use]
    pub fn with_request_body(mut self) -> Self {
        self.allows_body = !is_websocket(self.name.as_bytes());
        self
    }

    pub(crate) fn name(&self) -> &HeaderValue {
        &self.name
    }

    pub(crate) fn allows(&self, method: &Method) -> bool {
        *method != Method::CONNECT && (self.methods.is_empty() || self.methods.contains(method))
    }

    pub(crate) fn allows_body(&self) -> bool {
        self.allows_body
    }

    fn is_named(&self, token: &[u8]) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(token)
    }
}

/// Error: a name that is not a valid or allowed protocol, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProtocol {
    name: String,
    reason: &'static str,
}

impl fmt::Display for InvalidProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "protocol {:?}: {}", self.name, self.reason)
    }
}

impl StdError for InvalidProtocol {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_http_are_never_allowed() {
        for name in ["h2c", "H2C", "h2", "h3", "HTTP/2.0", "http", "h2c/1"] {
            assert!(Protocol::new(name).is_err(), "{name}");
            assert!(Protocols::any().find(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn protocol_names_are_tokens_with_an_optional_version() {
        assert!(Protocol::new("SPDY/3.1").is_ok());
        assert!(Protocol::new("tcp").is_ok());
        for name in ["", "a b", "a/", "/1", "a/b/c", "a,b", "\u{e9}"] {
            assert!(Protocol::new(name).is_err(), "{name:?}");
            assert!(Protocols::any().find(name.as_bytes()).is_none(), "{name:?}");
        }
    }

    #[test]
    fn any_keeps_the_websocket_rules() {
        let any = Protocols::any();
        let websocket = any.find(b"WebSocket").unwrap();
        assert!(!websocket.allows(&Method::POST) && !websocket.allows_body());
        assert_eq!(websocket.name(), "websocket");
        let other = any.find(b"foo/2").unwrap();
        assert!(other.allows(&Method::POST) && other.allows_body() && !other.allows(&Method::CONNECT));
    }

    #[test]
    fn websocket_rules_cannot_be_relaxed() {
        let loose = Protocol::new("WebSocket").unwrap().methods([]).with_request_body();
        let protocols = Protocols::only(loose);
        let websocket = protocols.find(b"websocket").unwrap();
        assert!(!websocket.allows(&Method::POST) && !websocket.allows_body());
    }

    #[test]
    fn allowing_a_protocol_again_replaces_it() {
        let protocols = Protocols::websocket()
            .allow(Protocol::new("tcp").unwrap())
            .allow(Protocol::new("TCP").unwrap().methods([Method::POST]));
        assert!(!protocols.find(b"tcp").unwrap().allows(&Method::GET));
    }
}
