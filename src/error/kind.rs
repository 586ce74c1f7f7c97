//! The table of failures: status, reason and texts of each.

use http::StatusCode as Status;

/// A failure that ends a request without a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The client's body is incomplete or malformed.
    Body,
    /// The client's request is not a valid handshake, for the reason given.
    Handshake(&'static str),
    /// The web page's origin is not allowed.
    Origin,
    /// The request cannot be forwarded, for the reason given.
    Request(&'static str),
    /// `CONNECT`, which is for forward proxies.
    Method,
    /// An extended `CONNECT` for a protocol that is not on the list.
    Protocol,
    /// The client has paused in the middle of its body.
    RequestTimeout,
    Connect,
    ConnectTimeout,
    Exchange,
    HandshakeTimeout,
    HeaderTimeout,
    /// The upstream's response does not match the request, for the reason given.
    Response(&'static str),
    /// An upgrade is not possible in HTTP/2, for the reason given, and failed in HTTP/1.1.
    NoHttp2(&'static str),
    NoUpstream,
    /// No endpoint of the pool is enabled and has a weight, or all have failed.
    NoEndpoint,
    EndpointLimit,
    NoStreamFree,
    TunnelLimit,
    ClientLimit,
    UpstreamLimit,
    HandshakeLimit,
    RequestLimit,
    /// The process, or the system, has reached its limit on open files.
    DescriptorLimit,
    /// No local port is free for another connection to the upstream.
    PortLimit,
    Draining,
    /// The application's `authorize` hook has rejected the request, with this status.
    Unauthorized(Status),
    AuthorizeTimeout,
}

/// A row of the table.
pub(super) struct Row {
    pub(super) status: Status,
    /// The word for metrics; see [`Error::reason`](super::Error::reason).
    pub(super) reason: &'static str,
    /// The text for the client, without addresses and causes.
    pub(super) public_text: &'static str,
    /// The text for logs. `{}` is the place of [`Kind::detail`].
    pub(super) text: &'static str,
}

impl Kind {
    #[rustfmt::skip]
    pub(super) fn row(self) -> Row {
        let (status, reason, public_text, text) = match self {
            Self::Handshake(why) => (Status::BAD_REQUEST, "bad_handshake", why, "bad handshake: {}"),
            Self::Request(why) => (Status::BAD_REQUEST, "bad_request", why, "bad request: {}"),
            Self::Body => (Status::BAD_REQUEST, "bad_request", "the request body is incomplete or malformed", "bad request"),
            Self::Origin => (Status::FORBIDDEN, "forbidden_origin", "the origin is not allowed", "the origin is not allowed"),
            Self::Method => (Status::METHOD_NOT_ALLOWED, "method_not_allowed", "CONNECT is not supported", "CONNECT is not supported"),
            Self::Protocol => (Status::NOT_IMPLEMENTED, "protocol_not_allowed", "the protocol is not supported", "CONNECT for a protocol that is not allowed"),
            Self::RequestTimeout => (Status::REQUEST_TIMEOUT, "request_timeout", "the request body did not arrive in time", "the request body did not arrive in time"),
            Self::Connect => (Status::BAD_GATEWAY, "connect", "the upstream cannot be reached", "connect"),
            Self::ConnectTimeout => (Status::GATEWAY_TIMEOUT, "connect_timeout", "the upstream could not be reached in time", "connect: timed out"),
            Self::Exchange => (Status::BAD_GATEWAY, "upstream_protocol", "the upstream sent no valid response", "exchange"),
            Self::Response(_) => (Status::BAD_GATEWAY, "upstream_protocol", "the upstream sent no valid response", "bad response: {}"),
            Self::NoHttp2(_) => (Status::BAD_GATEWAY, "no_http2", "the upstream sent no valid response", "no upgrade in HTTP/2 ({}) or HTTP/1.1"),
            Self::HandshakeTimeout => (Status::GATEWAY_TIMEOUT, "handshake_timeout", "the upstream did not respond in time", "handshake: timed out"),
            Self::HeaderTimeout => (Status::GATEWAY_TIMEOUT, "header_timeout", "the upstream did not respond in time", "exchange: timed out"),
            Self::NoUpstream => (Status::SERVICE_UNAVAILABLE, "no_upstream", "no upstream is available", "no upstream is configured for this request"),
            Self::NoEndpoint => (Status::SERVICE_UNAVAILABLE, "no_endpoint", "no upstream is available", "no endpoint of the pool is in use"),
            Self::EndpointLimit => (Status::SERVICE_UNAVAILABLE, "endpoint_limit", "all upstreams are at capacity", "all endpoints of the pool have their maximum of tunnels"),
            Self::NoStreamFree => (Status::SERVICE_UNAVAILABLE, "no_stream_free", "the upstream is at capacity", "all its HTTP/2 connections are full"),
            Self::TunnelLimit => (Status::SERVICE_UNAVAILABLE, "tunnel_limit", "too many tunnels are open", "the tunnel limit is reached"),
            Self::ClientLimit => (Status::TOO_MANY_REQUESTS, "client_limit", "too many tunnels are open from this address", "the client's tunnel limit is reached"),
            Self::UpstreamLimit => (Status::SERVICE_UNAVAILABLE, "upstream_limit", "too many tunnels to the upstream are open", "its tunnel limit is reached"),
            Self::HandshakeLimit => (Status::SERVICE_UNAVAILABLE, "handshake_limit", "too many handshakes are in progress", "the handshake limit is reached"),
            Self::RequestLimit => (Status::SERVICE_UNAVAILABLE, "request_limit", "too many requests are in progress", "the request limit is reached"),
            Self::DescriptorLimit => (Status::SERVICE_UNAVAILABLE, "descriptor_limit", "too many connections are open", "connect"),
            Self::PortLimit => (Status::SERVICE_UNAVAILABLE, "port_limit", "too many connections to the upstream are open", "connect: no local port is free"),
            Self::Unauthorized(status) => (status, "unauthorized", "the request was rejected", "rejected by the authorize hook"),
            Self::AuthorizeTimeout => (Status::GATEWAY_TIMEOUT, "authorize_timeout", "the request could not be authorized in time", "the authorize hook timed out"),
            Self::Draining => (Status::SERVICE_UNAVAILABLE, "draining", "the server is shutting down", "tunnels are being drained"),
        };
        Row { status, reason, public_text, text }
    }

    /// Returns the reason that some kinds carry; it replaces `{}` in the text for logs.
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::Handshake(why) | Self::Request(why) | Self::Response(why) | Self::NoHttp2(why) => why,
            _ => "",
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
            (Kind::RequestTimeout, 408, "request_timeout"),
            (Kind::Connect, 502, "connect"),
            (Kind::ConnectTimeout, 504, "connect_timeout"),
            (Kind::Exchange, 502, "upstream_protocol"),
            (Kind::Response("x"), 502, "upstream_protocol"),
            (Kind::NoHttp2("x"), 502, "no_http2"),
            (Kind::HandshakeTimeout, 504, "handshake_timeout"),
            (Kind::HeaderTimeout, 504, "header_timeout"),
            (Kind::NoUpstream, 503, "no_upstream"),
            (Kind::NoEndpoint, 503, "no_endpoint"),
            (Kind::EndpointLimit, 503, "endpoint_limit"),
            (Kind::NoStreamFree, 503, "no_stream_free"),
            (Kind::TunnelLimit, 503, "tunnel_limit"),
            (Kind::ClientLimit, 429, "client_limit"),
            (Kind::UpstreamLimit, 503, "upstream_limit"),
            (Kind::HandshakeLimit, 503, "handshake_limit"),
            (Kind::RequestLimit, 503, "request_limit"),
            (Kind::DescriptorLimit, 503, "descriptor_limit"),
            (Kind::PortLimit, 503, "port_limit"),
            (Kind::Draining, 503, "draining"),
            (Kind::Unauthorized(Status::UNAUTHORIZED), 401, "unauthorized"),
            (Kind::AuthorizeTimeout, 504, "authorize_timeout"),
        ];
        for (kind, status, reason) in table {
            assert_eq!((kind.row().status.as_u16(), kind.row().reason), (status, reason), "{kind:?}");
        }
    }
}
