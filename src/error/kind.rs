//! What each failure is answered with, and what it is called.

use http::StatusCode;

/// The stages at which a handshake can end without a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The client's body broke off or was malformed.
    Body,
    /// The client's request can't be a handshake; the text says why.
    Handshake(&'static str),
    /// A page that may not open tunnels.
    Origin,
    /// A request that can't be sent on; the text says why.
    Request(&'static str),
    /// `CONNECT`, which a reverse proxy has no use for.
    Method,
    /// An extended `CONNECT` for a protocol that is not upgraded to.
    Protocol,
    Connect,
    ConnectTimeout,
    Exchange,
    HandshakeTimeout,
    HeaderTimeout,
    /// The upstream agreed, but not to what was asked; the text says why.
    Response(&'static str),
    /// An upgrade in HTTP/2 is impossible, the text says why; nor was it possible in HTTP/1.1.
    NoHttp2(&'static str),
    NoUpstream,
    NoStreamFree,
    TunnelLimit,
    ClientLimit,
    UpstreamLimit,
    HandshakeLimit,
    /// The process, or the system, has as many files open as it may.
    DescriptorLimit,
    Draining,
}

impl Kind {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Handshake(_) | Self::Request(_) | Self::Body => StatusCode::BAD_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Protocol => StatusCode::NOT_IMPLEMENTED,
            Self::Connect | Self::Exchange | Self::Response(_) | Self::NoHttp2(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::HandshakeTimeout | Self::HeaderTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Self::ClientLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::NoUpstream
            | Self::NoStreamFree
            | Self::TunnelLimit
            | Self::UpstreamLimit
            | Self::HandshakeLimit
            | Self::DescriptorLimit
            | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What a counter calls it; see [`Error::reason`](super::Error::reason).
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Handshake(_) => "bad_handshake",
            Self::Request(_) | Self::Body => "bad_request",
            Self::Origin => "forbidden_origin",
            Self::Method => "method_not_allowed",
            Self::Protocol => "protocol_not_allowed",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Exchange | Self::Response(_) => "upstream_protocol",
            Self::NoHttp2(_) => "no_http2",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::NoUpstream => "no_upstream",
            Self::NoStreamFree => "no_stream_free",
            Self::TunnelLimit => "tunnel_limit",
            Self::ClientLimit => "client_limit",
            Self::UpstreamLimit => "upstream_limit",
            Self::HandshakeLimit => "handshake_limit",
            Self::DescriptorLimit => "descriptor_limit",
            Self::Draining => "draining",
        }
    }

    /// What a client may know: no address, no cause.
    pub(super) fn public_reason(self) -> &'static str {
        match self {
            Self::Handshake(reason) | Self::Request(reason) => reason,
            Self::Body => "the body is broken",
            Self::Origin => "pages of this origin may not connect",
            Self::Method => "CONNECT is not served",
            Self::Protocol => "the protocol is not served",
            Self::Connect => "the upstream cannot be reached",
            Self::ConnectTimeout => "the upstream could not be reached in time",
            Self::Exchange | Self::Response(_) | Self::NoHttp2(_) => "the upstream did not answer properly",
            Self::HandshakeTimeout | Self::HeaderTimeout => "the upstream did not answer in time",
            Self::NoUpstream => "no upstream is available",
            Self::NoStreamFree => "the upstream is full",
            Self::TunnelLimit => "too many tunnels are open",
            Self::ClientLimit => "too many tunnels are open from this address",
            Self::UpstreamLimit => "the upstream has too many tunnels",
            Self::HandshakeLimit => "too many upgrades are being answered",
            Self::DescriptorLimit => "too many connections are open",
            Self::Draining => "the server is going away",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_status_and_the_reason_of_the_table() {
        let table = [
            (Kind::Handshake("x"), 400, "bad_handshake"),
            (Kind::Request("x"), 400, "bad_request"),
            (Kind::Body, 400, "bad_request"),
            (Kind::Origin, 403, "forbidden_origin"),
            (Kind::Method, 405, "method_not_allowed"),
            (Kind::Protocol, 501, "protocol_not_allowed"),
            (Kind::Connect, 502, "connect"),
            (Kind::ConnectTimeout, 504, "connect_timeout"),
            (Kind::Exchange, 502, "upstream_protocol"),
            (Kind::Response("x"), 502, "upstream_protocol"),
            (Kind::NoHttp2("x"), 502, "no_http2"),
            (Kind::HandshakeTimeout, 504, "handshake_timeout"),
            (Kind::HeaderTimeout, 504, "header_timeout"),
            (Kind::NoUpstream, 503, "no_upstream"),
            (Kind::NoStreamFree, 503, "no_stream_free"),
            (Kind::TunnelLimit, 503, "tunnel_limit"),
            (Kind::ClientLimit, 429, "client_limit"),
            (Kind::UpstreamLimit, 503, "upstream_limit"),
            (Kind::HandshakeLimit, 503, "handshake_limit"),
            (Kind::DescriptorLimit, 503, "descriptor_limit"),
            (Kind::Draining, 503, "draining"),
        ];
        for (kind, status, reason) in table {
            assert_eq!((kind.status().as_u16(), kind.reason()), (status, reason), "{kind:?}");
        }
    }
}
