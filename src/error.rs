//! What can go wrong before a tunnel stands, and the status each failure is answered with.

mod causes;
mod kind;

use std::{error::Error as StdError, fmt, io, sync::Arc};

use http::StatusCode;

use crate::upstream::Upstream;

pub(crate) use causes::{ConnectTimeout, NoStreamFree};
pub(crate) use kind::Kind;

/// A boxed error, as everywhere in tower.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why the proxy answered an upgrade request itself.
///
/// The service's own error type stays that of the inner service: a failure of the proxy is an
/// ordinary response, and this value lies in its extensions. An outer layer finds it there:
///
/// ```
/// # fn log<B>(response: &http::Response<B>) {
/// if let Some(error) = response.extensions().get::<tower_upgrade_proxy::Error>() {
///     eprintln!("{error}"); // upstream http://127.0.0.1:9000: connect: Connection refused
/// }
/// # }
/// ```
///
/// The text names the upstream and the stage. It is meant for logs: the default response body
/// never shows it to the client.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: Kind,
    upstream: Option<Upstream>,
    source: Option<BoxError>,
}

/// The client's body broke off or was malformed; the upstream has nothing to do with it.
#[derive(Debug)]
pub(crate) struct ClientBody(BoxError);

impl ClientBody {
    pub(crate) fn boxed(error: impl Into<BoxError>) -> BoxError {
        Self(error.into()).into()
    }
}

/// Whether `error` is a `T`, or has one among its causes.
fn caused_by<T: StdError + 'static>(error: &(dyn StdError + 'static)) -> bool {
    error.is::<T>() || error.source().is_some_and(caused_by::<T>)
}

impl fmt::Display for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request's body")
    }
}

impl StdError for ClientBody {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// Whether the process (`EMFILE`) or the system (`ENFILE`) could open no more files, sockets among them.
fn is_out_of_descriptors(error: &(dyn StdError + 'static)) -> bool {
    /// The same numbers on every Unix; `WSAEMFILE` on Windows.
    const CODES: &[i32] = if cfg!(windows) { &[10_024] } else { &[23, 24] };
    let code = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    code.is_some_and(|code| CODES.contains(&code)) || error.source().is_some_and(is_out_of_descriptors)
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

    /// A request that is refused for what `said` tells of it.
    pub(crate) fn of_client(kind: Kind, said: impl Into<BoxError>) -> Self {
        Self(Arc::new(Inner { kind, upstream: None, source: Some(said.into()) }))
    }

    /// The connection did not come about: in time, or at all.
    pub(crate) fn from_connect(upstream: &Upstream, cause: BoxError) -> Self {
        if caused_by::<ConnectTimeout>(&*cause) {
            Self::at(Kind::ConnectTimeout, upstream)
        } else if caused_by::<NoStreamFree>(&*cause) {
            Self::at(Kind::NoStreamFree, upstream)
        } else if is_out_of_descriptors(&*cause) {
            Self::caused(Kind::DescriptorLimit, upstream, cause)
        } else {
            Self::caused(Kind::Connect, upstream, cause)
        }
    }

    /// The same causes, seen as another failure.
    pub(crate) fn with_kind(self, kind: Kind) -> Self {
        match Arc::try_unwrap(self.0) {
            Ok(inner) => Self(Arc::new(Inner { kind, ..inner })),
            Err(shared) => Self(shared),
        }
    }

    /// The exchange broke off, by the client's body or by the upstream.
    pub(crate) fn from_exchange(upstream: &Upstream, cause: BoxError) -> Self {
        let kind = if caused_by::<ClientBody>(&*cause) { Kind::Body } else { Kind::Exchange };
        Self::caused(kind, upstream, cause)
    }

    /// The client's request was not a valid handshake
    /// ([RFC 6455, 4.2.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1)). Status 400.
    #[must_use]
    pub fn is_bad_handshake(&self) -> bool {
        matches!(self.0.kind, Kind::Handshake(_))
    }

    /// The request could not be sent on: a target that is no path or leaves its prefix, in an
    /// ordinary request `Host` missing or invalid, a body that broke off or is malformed (status
    /// 400), `CONNECT` (status 405), in HTTP/2 with a `:protocol` that is not allowed (status 501).
    #[must_use]
    pub fn is_bad_request(&self) -> bool {
        matches!(self.0.kind, Kind::Request(_) | Kind::Body | Kind::Method | Kind::Protocol)
    }

    /// A web page that may not open tunnels ([`allow_origin`](crate::UpgradeProxyLayer::allow_origin)).
    /// Status 403.
    #[must_use]
    pub fn is_forbidden_origin(&self) -> bool {
        self.0.kind == Kind::Origin
    }

    /// No connection to the upstream could be made: refused, name not found, TLS failure. Status 502.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.0.kind == Kind::Connect
    }

    /// An upstream marked [`http2`](Upstream::http2) or [`auto`](Upstream::auto) does not take
    /// upgrades in HTTP/2, and the attempt in HTTP/1.1 failed too. Status 502.
    #[must_use]
    pub fn is_no_http2(&self) -> bool {
        matches!(self.0.kind, Kind::NoHttp2(_))
    }

    /// As many HTTP/2 connections to the upstream as there may be are full. Status 503 with
    /// `Retry-After`.
    #[must_use]
    pub fn is_no_stream_free(&self) -> bool {
        self.0.kind == Kind::NoStreamFree
    }

    /// The upstream closed, reset or broke HTTP before it had answered, or its 101 was not an
    /// answer to this request. Status 502.
    #[must_use]
    pub fn is_upstream_protocol(&self) -> bool {
        matches!(self.0.kind, Kind::Exchange | Kind::Response(_))
    }

    /// The connect, handshake or header timeout ran out. Status 504.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::ConnectTimeout | Kind::HandshakeTimeout | Kind::HeaderTimeout)
    }

    /// As many tunnels as there may be are open ([`max_tunnels`](crate::UpgradeProxyLayer::max_tunnels)).
    /// Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_tunnel_limit(&self) -> bool {
        self.0.kind == Kind::TunnelLimit
    }

    /// The client has as many tunnels as it may
    /// ([`max_tunnels_per_client`](crate::UpgradeProxyLayer::max_tunnels_per_client)). Status 429 with
    /// `Retry-After`.
    #[must_use]
    pub fn is_client_limit(&self) -> bool {
        self.0.kind == Kind::ClientLimit
    }

    /// The upstream has as many tunnels as it may
    /// ([`max_tunnels_per_upstream`](crate::UpgradeProxyLayer::max_tunnels_per_upstream)). Status 503
    /// with `Retry-After`.
    #[must_use]
    pub fn is_upstream_limit(&self) -> bool {
        self.0.kind == Kind::UpstreamLimit
    }

    /// As many handshakes as there may be are in flight
    /// ([`max_handshakes`](crate::UpgradeProxyLayer::max_handshakes)). Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_handshake_limit(&self) -> bool {
        self.0.kind == Kind::HandshakeLimit
    }

    /// No connection to the upstream could be made, as this process has as many files and sockets open as it
    /// may (`ulimit -n`), or the system has. Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_descriptor_limit(&self) -> bool {
        self.0.kind == Kind::DescriptorLimit
    }

    /// Tunnels are being drained, and there are to be no new ones. Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.kind == Kind::Draining
    }

    /// Neither the layer nor the request named an upstream. Status 503 with `Retry-After`.
    #[must_use]
    pub fn is_no_upstream(&self) -> bool {
        self.0.kind == Kind::NoUpstream
    }

    /// The upstream concerned, once one was chosen.
    #[must_use]
    pub fn upstream(&self) -> Option<&Upstream> {
        self.0.upstream.as_ref()
    }

    /// The status this failure is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// One word for this failure, to count it by. The words stay the same; there may be more of them:
    ///
    /// | reason | status | see |
    /// | --- | --- | --- |
    /// | `bad_handshake` | 400 | [`is_bad_handshake`](Self::is_bad_handshake) |
    /// | `bad_request` | 400 | [`is_bad_request`](Self::is_bad_request) |
    /// | `forbidden_origin` | 403 | [`is_forbidden_origin`](Self::is_forbidden_origin) |
    /// | `method_not_allowed` | 405 | [`is_bad_request`](Self::is_bad_request) |
    /// | `protocol_not_allowed` | 501 | [`is_bad_request`](Self::is_bad_request) |
    /// | `client_limit` | 429 | [`is_client_limit`](Self::is_client_limit) |
    /// | `connect` | 502 | [`is_connect`](Self::is_connect) |
    /// | `no_http2` | 502 | [`is_no_http2`](Self::is_no_http2) |
    /// | `upstream_protocol` | 502 | [`is_upstream_protocol`](Self::is_upstream_protocol) |
    /// | `descriptor_limit` | 503 | [`is_descriptor_limit`](Self::is_descriptor_limit) |
    /// | `draining` | 503 | [`is_draining`](Self::is_draining) |
    /// | `handshake_limit` | 503 | [`is_handshake_limit`](Self::is_handshake_limit) |
    /// | `no_stream_free` | 503 | [`is_no_stream_free`](Self::is_no_stream_free) |
    /// | `no_upstream` | 503 | [`is_no_upstream`](Self::is_no_upstream) |
    /// | `tunnel_limit` | 503 | [`is_tunnel_limit`](Self::is_tunnel_limit) |
    /// | `upstream_limit` | 503 | [`is_upstream_limit`](Self::is_upstream_limit) |
    /// | `connect_timeout`, `handshake_timeout`, `header_timeout` | 504 | [`is_timeout`](Self::is_timeout) |
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.kind.reason()
    }

    /// What a client may know: no address, no cause.
    pub(crate) fn public_reason(&self) -> &'static str {
        self.0.kind.public_reason()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(upstream) = &self.0.upstream {
            write!(f, "upstream {upstream}: ")?;
        }
        f.write_str(match self.0.kind {
            Kind::Handshake(reason) => return write!(f, "bad handshake: {reason}"),
            Kind::Request(reason) => return write!(f, "bad request: {reason}"),
            Kind::Body => "bad request",
            Kind::Origin => "the origin is not allowed",
            Kind::Method => "CONNECT is not served",
            Kind::Protocol => "CONNECT for a protocol that is not allowed",
            Kind::Response(reason) => return write!(f, "bad response: {reason}"),
            Kind::Connect => "connect",
            Kind::ConnectTimeout => "connect: timed out",
            Kind::Exchange => "exchange",
            Kind::HeaderTimeout => "exchange: timed out",
            Kind::HandshakeTimeout => "handshake: timed out",
            Kind::NoHttp2(_) => "",
            Kind::NoUpstream => "no upstream is configured for this request",
            Kind::NoStreamFree => "all its HTTP/2 connections are full",
            Kind::TunnelLimit => "the tunnel limit is reached",
            Kind::ClientLimit => "the client's tunnel limit is reached",
            Kind::UpstreamLimit => "its tunnel limit is reached",
            Kind::HandshakeLimit => "the handshake limit is reached",
            Kind::DescriptorLimit => "connect",
            Kind::Draining => "tunnels are being drained",
        })?;
        if let Kind::NoHttp2(reason) = self.0.kind {
            write!(f, "no upgrade in HTTP/2, as {reason}, nor in HTTP/1.1")?;
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
    fn the_text_names_upstream_stage_and_cause_but_the_public_reason_does_not() {
        let upstream: Upstream = "http://10.1.2.3:9000".parse().unwrap();
        let error = Error::caused(Kind::Connect, &upstream, "no route");
        assert_eq!(error.to_string(), "upstream http://10.1.2.3:9000: connect: no route");
        assert!(!error.public_reason().contains("10.1.2.3"));
        assert!(error.source().is_some());
    }
    #[test]
    fn draining_is_not_taken_for_a_limit() {
        let error = Error::new(Kind::Draining);
        assert!(error.is_draining() && !error.is_tunnel_limit());
        assert!(!Error::new(Kind::TunnelLimit).is_draining());
        assert_eq!(error.to_string(), "tunnels are being drained");
    }
}
