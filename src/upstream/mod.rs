//! [`Upstream`]: the server to which requests and tunnels go.

mod address;

use std::{error::Error as StdError, fmt, path::Path, str::FromStr, sync::Arc};

use http::{
    Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::authority;
pub(crate) use address::Address;

/// An upstream server: its address and the base path of its requests.
///
/// Parsed from `http://host:port`, `https://`, `ws://` (the same as `http://`), `wss://` (the same
/// as `https://`) or `unix:/path/to.sock`. The default port is 80, with TLS 443. An optional path is prepended to
/// the path of every request: `http://host/app`, `unix:/run/app.sock:/app`; non-ASCII characters in it must be
/// percent-encoded. Cloning copies a pointer.
///
/// ```
/// use tower_upgrade_proxy::Upstream;
///
/// let upstream: Upstream = "ws://[::1]:9000/app".parse()?;
/// assert_eq!(upstream.to_string(), "http://[::1]:9000/app");
///
/// let error = "ftp://example.com".parse::<Upstream>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"upstream "ftp://example.com": the scheme is not http, https, ws, wss or unix"#,
/// );
/// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
/// ```
///
/// As a request extension, it overrides the upstream of the layer for that request:
///
/// ```
/// # use tower_upgrade_proxy::Upstream;
/// # fn route<B>(request: &mut http::Request<B>, upstream: Upstream) {
/// request.extensions_mut().insert(upstream);
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Upstream(Arc<Inner>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Inner {
    address: Address,
    http_version: HttpVersion,
    /// Scheme and authority that identify the pooled connections.
    pool_key: (Scheme, Authority),
    /// With a leading and without a trailing slash; empty for the root.
    base_path: String,
}

/// HTTP version of the connections to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HttpVersion {
    Http1,
    /// By ALPN, or by prior knowledge without TLS.
    Http2,
    /// Chosen by ALPN; HTTP/1.1 without TLS.
    Auto,
}

impl Upstream {
    /// Creates an upstream for a custom connector, with any scheme.
    ///
    /// The connector set with
    /// [`UpgradeProxyLayer::connector`](crate::UpgradeProxyLayer::connector) receives the scheme and
    /// authority; the path of `uri` is the base path.
    ///
    /// # Errors
    ///
    /// If `uri` has no scheme or no host, or contains user information or a query.
    pub fn for_connector(uri: Uri) -> Result<Self, InvalidUpstream> {
        let text = uri.to_string();
        let parts = uri.into_parts();
        match (parts.scheme, parts.authority) {
            (Some(scheme), Some(authority)) => {
                let path = parts.path_and_query;
                let query = path.as_ref().and_then(|path| path.query());
                Self::build(scheme, authority, path.as_ref().map_or("", |path| path.path()), query)
            }
            _ => Err("it needs a scheme and a host"),
        }
        .map_err(|reason| InvalidUpstream { text, reason })
    }

    /// Uses HTTP/2: over TLS if negotiated by ALPN, without TLS by prior knowledge
    /// ([RFC 9113, 3.3](https://www.rfc-editor.org/rfc/rfc9113#section-3.3)). Tunnels and requests
    /// then share connections; see [`Http2`](crate::Http2).
    ///
    /// An upgrade becomes an extended CONNECT
    /// ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)). If the upstream's SETTINGS do not allow
    /// extended CONNECT, and for upgrades with a body or a method other than GET, HTTP/1.1 is used instead,
    /// on a connection of its own. The result is cached for one minute.
    ///
    /// ```
    /// let upstream = "http://127.0.0.1:9000".parse::<tower_upgrade_proxy::Upstream>()?.http2();
    /// # Ok::<(), tower_upgrade_proxy::InvalidUpstream>(())
    /// ```
    #[must_use]
    pub fn http2(self) -> Self {
        self.with_http_version(HttpVersion::Http2)
    }

    /// Uses HTTP/2 if negotiated by ALPN, else HTTP/1.1; without TLS always HTTP/1.1.
    ///
    /// As with [`http2`](Self::http2), upgrades use HTTP/2 only if the upstream's SETTINGS allow extended
    /// CONNECT, and the result is cached for one minute. Without `http2` or `auto`, HTTP/1.1 is used.
    #[must_use]
    pub fn auto(self) -> Self {
        self.with_http_version(HttpVersion::Auto)
    }

    fn with_http_version(mut self, version: HttpVersion) -> Self {
        Arc::make_mut(&mut self.0).http_version = version;
        self
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(rest) = text.strip_prefix("unix:") {
            return Self::unix(rest);
        }
        // The parser of URIs drops it.
        if text.contains('#') {
            return Err("a fragment is not supported");
        }
        let uri: Uri = text.parse().map_err(|_| "it is not a URI")?;
        let parts = uri.into_parts();
        let scheme = match parts.scheme.as_ref().map(Scheme::as_str) {
            Some("http" | "ws") => Scheme::HTTP,
            Some("https" | "wss") if cfg!(feature = "rustls") => Scheme::HTTPS,
            Some("https" | "wss") => return Err("TLS needs the crate's feature `rustls`"),
            Some(_) => return Err("the scheme is not http, https, ws, wss or unix"),
            None => return Err("it has no scheme; write http://HOST:PORT or unix:/PATH"),
        };
        let authority = parts.authority.ok_or("it has no host")?;
        let path = parts.path_and_query;
        let query = path.as_ref().and_then(|path| path.query());
        Self::build(scheme, authority, path.as_ref().map_or("", |path| path.path()), query)
    }

    fn build(
        scheme: Scheme,
        authority: Authority,
        path: &str,
        query: Option<&str>,
    ) -> Result<Self, &'static str> {
        if authority.as_str().contains('@') {
            return Err("user information is not supported");
        }
        if authority.host().is_empty() {
            return Err("it has no host");
        }
        let after_host = &authority.as_str()[authority.host().len()..];
        if !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("the port is not a number from 1 to 65535");
        }
        if authority::parse(authority.as_str().as_bytes()).is_none() {
            return Err("the host is neither a name nor an IP address");
        }
        let base_path = parse_base_path(path, query)?;
        let pool_key = (scheme.clone(), authority.clone());
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query("/")
            .build()
            .map_err(|_| "it is not a URI")?;
        Ok(Self(Arc::new(Inner {
            address: Address::Uri(uri),
            http_version: HttpVersion::Http1,
            pool_key,
            base_path,
        })))
    }

    fn unix(rest: &str) -> Result<Self, &'static str> {
        /// `sockaddr_un.sun_path` has 108 bytes on Linux, one of them the final NUL.
        const MAX_LEN: usize = 107;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (socket, path) = match rest.rfind(":/") {
            Some(colon) => (&rest[..colon], &rest[colon + 1..]),
            None => (rest, ""),
        };
        if !cfg!(unix) {
            return Err("unix sockets are not supported on this platform");
        }
        if !socket.starts_with('/') {
            return Err("the socket's path must be absolute: unix:/PATH");
        }
        if socket.len() > MAX_LEN || socket.contains('\0') {
            return Err("the socket's path is longer than 107 bytes, or contains a NUL");
        }
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let (address, pool_key) = (Address::Unix(Path::new(socket).into()), Address::unix_pool_key(socket)?);
        let base_path = parse_base_path(path, query)?;
        Ok(Self(Arc::new(Inner { address, http_version: HttpVersion::Http1, pool_key, base_path })))
    }

    /// Returns the scheme and authority that identify the upstream's pooled connections.
    pub(crate) fn pool_key(&self) -> &(Scheme, Authority) {
        &self.0.pool_key
    }

    /// Returns true if the URI requires TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.pool_key.0 == Scheme::HTTPS
    }

    pub(crate) fn http_version(&self) -> HttpVersion {
        self.0.http_version
    }

    pub(crate) fn address(&self) -> &Address {
        &self.0.address
    }

    /// Returns the base path, without a trailing slash; empty for the root.
    pub(crate) fn base_path(&self) -> &str {
        &self.0.base_path
    }

    /// Returns the upstream's value of `Host`: host and port, or `localhost` for a unix socket.
    pub(crate) fn authority(&self) -> &str {
        match &self.0.address {
            Address::Uri(uri) => uri.authority().map_or("", Authority::as_str),
            Address::Unix(_) => "localhost",
        }
    }
}

/// Checks a base path and removes trailing slashes.
fn parse_base_path(path: &str, query: Option<&str>) -> Result<String, &'static str> {
    if query.is_some() {
        return Err("a query is not supported");
    }
    let is_dots = |segment| matches!(segment, "." | "..");
    let is_encoded = ["%2e", "%2f", "%5c"].iter().any(|code| path.to_ascii_lowercase().contains(code));
    if path.contains("//") || is_encoded || path.split('/').any(is_dots) {
        return Err("the path contains empty or dot segments, or an encoded dot or slash");
    }
    if !path.is_ascii() {
        return Err("the path is not ASCII: percent-encode it");
    }
    match PathAndQuery::try_from(path) {
        _ if path.is_empty() => {}
        Err(_) => return Err("the path is not valid in a URI"),
        // A fragment would be dropped later, together with every path appended to it.
        Ok(parsed) if parsed != path => return Err("a fragment is not supported"),
        Ok(_) => {}
    }
    Ok(path.trim_end_matches('/').to_owned())
}

impl FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        Self::parse(text).map_err(|reason| InvalidUpstream { text: text.to_owned(), reason })
    }
}

impl TryFrom<&str> for Upstream {
    type Error = InvalidUpstream;

    fn try_from(text: &str) -> Result<Self, InvalidUpstream> {
        text.parse()
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.address {
            Address::Uri(uri) => {
                write!(f, "{}://{}{}", uri.scheme_str().unwrap_or(""), self.authority(), self.0.base_path)
            }
            Address::Unix(path) if self.0.base_path.is_empty() => write!(f, "unix:{}", path.display()),
            Address::Unix(path) => write!(f, "unix:{}:{}", path.display(), self.0.base_path),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({self})")
    }
}

/// Error: a text that is not a valid upstream, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidUpstream {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upstream {:?}: {}", self.text, self.reason)
    }
}

impl StdError for InvalidUpstream {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_upstreams_are_normalised() {
        let table = [
            ("http://a", "http://a"),
            ("ws://a:80/", "http://a:80"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("ws://a/base/", "http://a/base"),
            ("ws://a/b%20c", "http://a/b%20c"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("unix:/run/a.sock:/base/", "unix:/run/a.sock:/base"),
        ];
        for (text, shown) in table {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn invalid_upstreams_are_rejected_with_a_reason() {
        let long = format!("unix:/{}", "x".repeat(107));
        let table = [
            ("", "not a URI"),
            ("localhost:9000", "no scheme"),
            ("/path", "no scheme"),
            ("ftp://a", "scheme is not"),
            ("http://user@a", "user information"),
            ("http://a:0", "port"),
            ("http://a:99999", "port"),
            ("http://a:", "port"),
            ("http://[zz]:80", "neither a name nor"),
            ("http://[fe80::1%25eth0]:80", "neither a name nor"),
            ("http://a[b]:80", "neither a name nor"),
            ("http://a?x=1", "query"),
            ("http://a/b#c", "fragment"),
            ("http://a#c", "fragment"),
            ("http://a/b/../c", "dot segments"),
            ("http://a/b/%2E%2e/c", "encoded dot"),
            ("http://a/caf\u{e9}", "not ASCII"),
            ("unix:/a.sock:/caf\u{e9}", "not ASCII"),
            ("unix:/a.sock:/b#c", "fragment"),
            ("unix:relative.sock", "absolute"),
            ("unix:/a.sock:/b?x", "query"),
            (&long, "longer than 107"),
        ];
        for (text, reason) in table {
            let error = text.parse::<Upstream>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn unix_sockets_have_pool_keys_of_their_own() {
        let [one, two] =
            ["unix:/run/caf\u{e9} 1.sock", "unix:/run/a.sock"].map(|text| text.parse::<Upstream>().unwrap());
        assert_ne!(one.pool_key(), two.pool_key());
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn tls_without_the_feature_is_rejected_when_parsed() {
        let error = "wss://a".parse::<Upstream>().unwrap_err().to_string();
        assert!(error.contains("feature `rustls`"), "{error}");
    }

    #[test]
    fn custom_connectors_accept_any_scheme() {
        let upstream = Upstream::for_connector("vsock://3:5000/x".parse().unwrap()).unwrap();
        assert_eq!((upstream.authority(), upstream.base_path()), ("3:5000", "/x"));
        assert!(Upstream::for_connector("/only/a/path".parse().unwrap()).is_err());
    }
}
