//! [`Error`]: a failure before a tunnel is open, and the status of its response.
//!
//! [`kind`] has the table of failures, and [`causes`] the errors that select one of them.

mod causes;
mod kind;

use std::{error::Error as StdError, fmt, sync::Arc};

use http::StatusCode;

use crate::upstream::Upstream;

pub(crate) use causes::{ClientBody, ConnectTimeout, NoLocalPort, NoStreamFree, TooManyInterim};
use causes::{caused_by, is_out_of_descriptors};
pub(crate) use kind::Kind;

/// A boxed error, as in tower.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The reason for a failure response of the proxy.
///
/// The service's error type is that of the inner service: a failure of the proxy is an ordinary response
/// with this value in its extensions. An outer layer can read it:
///
/// ```
/// # fn log<B>(response: &http::Response<B>) {
/// if let Some(error) = response.extensions().get::<tower_upgrade_proxy::Error>() {
///     eprintln!("{error}"); // upstream http://127.0.0.1:9000: connect: Connection refused
/// }
/// # }
/// ```
///
/// The text names the upstream, the stage and all causes, which [`source`](StdError::source) returns one by one. It is
/// for logs: the default response body does not contain it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: Kind,
    upstream: Option<Upstream>,
    source: Option<BoxError>,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Arc::new(Inner { kind, upstream: None, source: None }))
    }

    pub(crate) fn at(kind: Kind, upstream: &Upstream) -> Self {
        Self(Arc::new(Inner { kind, upstream: Some(upstream.clone()), source: None }))
    }

    pub(crate) fn caused(kind: Kind, upstream: &Upstream, source: impl Into<BoxError>) -> Self {
        let source = Some(source.into());
        Self(Arc::new(Inner { kind, upstream: Some(upstream.clone()), source }))
    }

    /// Returns the error of a refused request, with the part of the request that is the reason.
    pub(crate) fn in_request(kind: Kind, part: impl Into<BoxError>) -> Self {
        Self(Arc::new(Inner { kind, upstream: None, source: Some(part.into()) }))
    }

    /// Returns the error of a connection that could not be opened.
    pub(crate) fn from_connect(upstream: &Upstream, cause: BoxError) -> Self {
        if caused_by::<ConnectTimeout>(&*cause) {
            Self::at(Kind::ConnectTimeout, upstream)
        } else if caused_by::<NoStreamFree>(&*cause) {
            Self::at(Kind::NoStreamFree, upstream)
        } else if caused_by::<NoLocalPort>(&*cause) {
            Self::at(Kind::PortLimit, upstream)
        } else if is_out_of_descriptors(&*cause) {
            Self::caused(Kind::DescriptorLimit, upstream, cause)
        } else {
            Self::caused(Kind::Connect, upstream, cause)
        }
    }

    /// Returns the error of an exchange that failed, by the client's body or by the upstream.
    pub(crate) fn from_exchange(upstream: &Upstream, cause: BoxError) -> Self {
        if caused_by::<TooManyInterim>(&*cause) {
            return Self::at(Kind::Response("more than 32 interim responses came before it"), upstream);
        }
        let kind = if caused_by::<ClientBody>(&*cause) { Kind::Body } else { Kind::Exchange };
        Self::caused(kind, upstream, cause)
    }

    /// Replaces the kind, and keeps upstream and cause. An error that has been cloned stays as it is.
    pub(crate) fn with_kind(self, kind: Kind) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { kind, ..inner })),
            Err(shared) => Self(shared),
        }
    }

    /// Returns true if the client's request was not a valid handshake
    /// ([RFC 6455, 4.2.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1)). Status 400.
    #[must_use]
    pub fn is_bad_handshake(&self) -> bool {
        matches!(self.0.kind, Kind::Handshake(_))
    }

    /// Returns true if the request could not be forwarded. Status 400 for a target that is no path or leaves
    /// its prefix, for a missing or invalid `Host` in an ordinary request, and for a body that is incomplete or
    /// malformed; 405 for `CONNECT`; 501 for `CONNECT` in HTTP/2 with a `:protocol` that is not allowed.
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        matches!(self.0.kind, Kind::Request(_) | Kind::Body | Kind::Method | Kind::Protocol)
    }

    /// Returns true if the header or handshake timeout has expired while the next part of the client's request
    /// body was outstanding. Status 408 ([RFC 9110, 15.5.9](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.9)),
    /// in HTTP/1 with `Connection: close`.
    #[must_use]
    pub fn is_request_timeout(&self) -> bool {
        self.0.kind == Kind::RequestTimeout
    }

    /// Returns true if the web page's origin is not allowed
    /// ([`allow_origin`](crate::UpgradeProxyLayer::allow_origin)). Status 403.
    #[must_use]
    pub fn is_forbidden_origin(&self) -> bool {
        self.0.kind == Kind::Origin
    }

    /// Returns true if the [`authorize`](crate::UpgradeProxyLayer::authorize) hook has rejected the request. The status
    /// is that of its [`Rejection`](crate::Rejection).
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.0.kind, Kind::Unauthorized(_))
    }

    /// Returns true if no connection to the upstream could be opened: connection refused, name not found, TLS
    /// failure. Status 502.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.0.kind == Kind::Connect
    }

    /// Returns true if an upstream marked [`http2`](Upstream::http2) or [`auto`](Upstream::auto) does not accept
    /// upgrades in HTTP/2, and the attempt in HTTP/1.1 failed too. Status 502.
    #[must_use]
    pub fn is_no_http2(&self) -> bool {
        matches!(self.0.kind, Kind::NoHttp2(_))
    }

    /// Returns true if all HTTP/2 connections to the upstream were full
    /// ([`Http2::max_connections`](crate::Http2::max_connections)). Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_no_stream_free(&self) -> bool {
        self.0.kind == Kind::NoStreamFree
    }

    /// Returns true if the upstream closed or reset the connection, or violated HTTP, before its response head
    /// was complete, or if its 101 does not match the request. Status 502.
    #[must_use]
    pub fn is_upstream_protocol(&self) -> bool {
        matches!(self.0.kind, Kind::Exchange | Kind::Response(_))
    }

    /// Returns true if the connect, handshake or header timeout has expired, and the client is not the cause
    /// ([`is_request_timeout`](Self::is_request_timeout)), or if the
    /// [`authorize`](crate::UpgradeProxyLayer::authorize) hook took longer than the handshake timeout. Status 504.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::ConnectTimeout | Kind::HandshakeTimeout | Kind::HeaderTimeout | Kind::AuthorizeTimeout
        )
    }

    /// Returns true if [`max_tunnels`](crate::UpgradeProxyLayer::max_tunnels) tunnels are open. Status 503 with
    /// `Retry-After`.
    #[must_use]
    pub fn is_tunnel_limit(&self) -> bool {
        self.0.kind == Kind::TunnelLimit
    }

    /// Returns true if the client has
    /// [`max_tunnels_per_client`](crate::UpgradeProxyLayer::max_tunnels_per_client) tunnels open. Status 429
    /// with `Retry-After`.
    #[must_use]
    pub fn is_client_limit(&self) -> bool {
        self.0.kind == Kind::ClientLimit
    }

    /// Returns true if the upstream has
    /// [`max_tunnels_per_upstream`](crate::UpgradeProxyLayer::max_tunnels_per_upstream) tunnels open. Status 503
    /// with `Retry-After`.
    #[must_use]
    pub fn is_upstream_limit(&self) -> bool {
        self.0.kind == Kind::UpstreamLimit
    }

    /// Returns true if [`max_handshakes`](crate::UpgradeProxyLayer::max_handshakes) handshakes are in progress.
    /// Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_handshake_limit(&self) -> bool {
        self.0.kind == Kind::HandshakeLimit
    }

    /// Returns true if [`max_requests`](crate::UpgradeProxyLayer::max_requests) ordinary requests are in progress.
    /// Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_request_limit(&self) -> bool {
        self.0.kind == Kind::RequestLimit
    }

    /// Returns true if no connection to the upstream could be opened because the process (`ulimit -n`), or the
    /// system, has reached its limit on open files and sockets. Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_descriptor_limit(&self) -> bool {
        self.0.kind == Kind::DescriptorLimit
    }

    /// Returns true if no connection to the upstream could be opened because each local port is in use for one: Linux has
    /// some 28,000 for each address of an upstream (`net.ipv4.ip_local_port_range`). For a quarter of a second after that
    /// no other connection to this address is attempted. Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_port_limit(&self) -> bool {
        self.0.kind == Kind::PortLimit
    }

    /// Returns true if a [`Drain`](crate::Drain) has begun, after which no tunnels are opened. Status 503 with
    /// `Retry-After`.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.kind == Kind::Draining
    }

    /// Returns true if neither the layer nor the request names an upstream. Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_no_upstream(&self) -> bool {
        self.0.kind == Kind::NoUpstream
    }

    /// Returns true if the [`Pool`](crate::Pool) has no endpoint that is enabled and has a weight. Status 503 with `Retry-After`. If
    /// endpoints were tried and failed, the error is that of the last one.
    #[must_use]
    pub fn is_no_endpoint(&self) -> bool {
        self.0.kind == Kind::NoEndpoint
    }

    /// Returns true if each endpoint of the pool has
    /// [`max_tunnels_per_endpoint`](crate::Pool::max_tunnels_per_endpoint). Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_endpoint_limit(&self) -> bool {
        self.0.kind == Kind::EndpointLimit
    }

    /// Returns true if the upstream has not got the request, because there is no connection to it, so that another one can get
    /// it. Not so without descriptors, which no other connection gets either.
    pub(crate) fn is_unreached(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::ConnectTimeout | Kind::NoStreamFree | Kind::PortLimit)
    }

    /// Returns true if the connection ended before the head of a response, and the client is not to blame.
    pub(crate) fn is_unanswered(&self) -> bool {
        let is_answer = |cause: &(dyn StdError + 'static)| {
            cause.downcast_ref().is_some_and(hyper::Error::is_parse)
                || cause.downcast_ref().is_some_and(|error: &h2::Error| !error.is_io())
        };
        let mut causes = std::iter::successors(self.source(), |cause| (*cause).source());
        self.0.kind == Kind::Exchange && !causes.any(is_answer)
    }

    /// Returns true if no connection to the upstream could be opened, and neither a limit nor the application is to blame.
    pub(crate) fn is_connection_failure(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::ConnectTimeout)
    }

    /// Returns true if a handshake failed because of the upstream.
    pub(crate) fn is_handshake_failure(&self) -> bool {
        let failed = matches!(
            self.0.kind,
            Kind::Exchange | Kind::Response(_) | Kind::HandshakeTimeout | Kind::NoHttp2(_)
        );
        failed || self.is_connection_failure()
    }

    /// Returns the upstream that the failure concerns; `None` if it concerns the request or the proxy alone.
    #[must_use]
    pub fn upstream(&self) -> Option<&Upstream> {
        self.0.upstream.as_ref()
    }

    /// Returns the status of the failure response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.kind.row().status
    }

    /// Returns a word for this failure, for use as a label of counters. A word never changes its meaning; new
    /// words may be added:
    ///
    /// | reason | status | see |
    /// | --- | --- | --- |
    /// | `bad_handshake` | 400 | [`is_bad_handshake`](Self::is_bad_handshake) |
    /// | `bad_request` | 400 | [`is_bad_request`](Self::is_bad_request) |
    /// | `forbidden_origin` | 403 | [`is_forbidden_origin`](Self::is_forbidden_origin) |
    /// | `method_not_allowed` | 405 | [`is_bad_request`](Self::is_bad_request) |
    /// | `request_timeout` | 408 | [`is_request_timeout`](Self::is_request_timeout) |
    /// | `protocol_not_allowed` | 501 | [`is_bad_request`](Self::is_bad_request) |
    /// | `client_limit` | 429 | [`is_client_limit`](Self::is_client_limit) |
    /// | `connect` | 502 | [`is_connect`](Self::is_connect) |
    /// | `no_http2` | 502 | [`is_no_http2`](Self::is_no_http2) |
    /// | `upstream_protocol` | 502 | [`is_upstream_protocol`](Self::is_upstream_protocol) |
    /// | `descriptor_limit` | 503 | [`is_descriptor_limit`](Self::is_descriptor_limit) |
    /// | `port_limit` | 503 | [`is_port_limit`](Self::is_port_limit) |
    /// | `draining` | 503 | [`is_draining`](Self::is_draining) |
    /// | `handshake_limit` | 503 | [`is_handshake_limit`](Self::is_handshake_limit) |
    /// | `endpoint_limit` | 503 | [`is_endpoint_limit`](Self::is_endpoint_limit) |
    /// | `no_endpoint` | 503 | [`is_no_endpoint`](Self::is_no_endpoint) |
    /// | `no_stream_free` | 503 | [`is_no_stream_free`](Self::is_no_stream_free) |
    /// | `no_upstream` | 503 | [`is_no_upstream`](Self::is_no_upstream) |
    /// | `request_limit` | 503 | [`is_request_limit`](Self::is_request_limit) |
    /// | `tunnel_limit` | 503 | [`is_tunnel_limit`](Self::is_tunnel_limit) |
    /// | `upstream_limit` | 503 | [`is_upstream_limit`](Self::is_upstream_limit) |
    /// | `connect_timeout`, `handshake_timeout`, `header_timeout`, `authorize_timeout` | 504 | [`is_timeout`](Self::is_timeout) |
    /// | `unauthorized` | that of the hook | [`is_unauthorized`](Self::is_unauthorized) |
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.kind.row().reason
    }

    /// Returns the text for the client, without addresses and causes.
    pub(crate) fn public_text(&self) -> &'static str {
        self.0.kind.row().public_text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(upstream) = &self.0.upstream {
            write!(f, "upstream {upstream}: ")?;
        }
        let (kind, text) = (self.0.kind, self.0.kind.row().text);
        match text.split_once("{}") {
            Some((before, after)) => write!(f, "{before}{}{after}", kind.detail())?,
            None => f.write_str(text)?,
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("upstream", &self.0.upstream)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_for_logs_names_upstream_stage_and_cause() {
        let upstream: Upstream = "http://10.1.2.3:9000".parse().unwrap();
        let error = Error::caused(Kind::Connect, &upstream, "no route");
        assert_eq!(error.to_string(), "upstream http://10.1.2.3:9000: connect: no route");
        assert!(!error.public_text().contains("10.1.2.3"));
        assert!(error.source().is_some());
    }

    #[test]
    fn the_text_has_the_detail_of_its_kind() {
        let upstream: Upstream = "http://a".parse().unwrap();
        let error = Error::caused(Kind::NoHttp2("x"), &upstream, "y");
        assert_eq!(error.to_string(), "upstream http://a: no upgrade in HTTP/2 (x) or HTTP/1.1: y");
        assert_eq!(Error::new(Kind::Request("x")).to_string(), "bad request: x");
    }

    #[test]
    fn draining_is_no_limit() {
        let error = Error::new(Kind::Draining);
        assert!(error.is_draining() && !error.is_tunnel_limit());
        assert!(!Error::new(Kind::TunnelLimit).is_draining());
        assert_eq!(error.to_string(), "tunnels are being drained");
    }
}
